//! Many messages at a time: a backlog that is filled and drained.

use std::ops::Range;

use serde_json::json;

use super::{Event, Peer, Relay, event};

/// Most messages that are sent and not confirmed, and that one ACK settles.
const UNCONFIRMED: u64 = 4_096;
const ACK_BATCH: usize = 256;

/// The id of a message of a backlog.
pub fn bulk_id(number: u64) -> String {
    format!("{number:010}")
}

/// Has a peer send that many messages, which `message` makes, and waits until all are confirmed.
pub async fn fill(relay: &Relay, messages: u64, message: impl Fn(u64) -> String) {
    let filler = Peer::connect_with(relay, "id=filler", &[("Slipstream-Accept", "ack-batch")]).await;
    fill_as(filler, messages, message).await;
}

/// The same with a peer that is linked already.
pub async fn fill_as(filler: Peer, messages: u64, message: impl Fn(u64) -> String) {
    let Peer { link, .. } = filler;
    let (mut reader, mut writer) = (link.reader, link.writer);
    let (mut sent, mut known) = (0, 0);
    while known < messages {
        while sent < messages && sent - known < UNCONFIRMED {
            writer.text(&message(sent));
            sent += 1;
        }
        writer.flush().await.expect("the link is up");
        match event(&mut reader).await {
            Event::Answer(answer) => known += confirmed(&answer),
            Event::Ping(_) => {}
            other => panic!("{other:?} at the sender"),
        }
    }
}

/// How many messages an ACK confirms.
fn confirmed(answer: &serde_json::Value) -> u64 {
    assert_eq!(answer["type"], "ACK", "{answer}");
    answer["messageIds"].as_array().map_or(1, |ids| ids.len() as u64)
}

/// Takes that many messages as a peer, as [`drain_part`] does.
pub async fn drain(mut peer: Peer, messages: u64) {
    drain_part(&mut peer, 0..messages).await;
}

/// Takes the messages with these numbers as a peer, asserts that they come in order and once, and acknowledges them in
/// batches.
pub async fn drain_part(peer: &mut Peer, numbers: Range<u64>) {
    let Peer { link, .. } = peer;
    let (reader, writer) = (&mut link.reader, &mut link.writer);
    let mut ids = Vec::with_capacity(ACK_BATCH);
    let Range { start: mut number, end } = numbers;
    while number < end {
        match event(reader).await {
            Event::Message(message) => {
                assert_eq!(message.id(), bulk_id(number), "it comes in order, once");
                ids.push(message.id().to_owned());
                number += 1;
            }
            Event::Ping(_) => {}
            other => panic!("{other:?} after {number} messages"),
        }
        if ids.len() == ACK_BATCH || number == end {
            let acks = json!({"type": "ACK", "messageIds": ids, "clusterGroupId": "singleton"});
            writer.text(&acks.to_string());
            writer.flush().await.expect("the link is up");
            ids.clear();
        }
    }
}
