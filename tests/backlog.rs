//! A long backlog of an absent peer costs disk, not memory, and is drained in order.
//!
//! `SLIPSTREAM_BACKLOG_MESSAGES` sets its length; `.ci/run` runs it with a million.

#![cfg(test)]

mod support;

use std::time::Instant;

use serde_json::json;
use support::{Event, Peer, Relay, event};

/// The length of the backlog where the environment names none.
const MESSAGES: u64 = 50_000;

/// The size of each message on the wire.
const MESSAGE_BYTES: usize = 256;

/// Most messages that are sent and not confirmed, and that one ACK settles.
const UNCONFIRMED: u64 = 4096;
const ACK_BATCH: usize = 256;

/// A message of exactly [`MESSAGE_BYTES`].
fn message(number: u64) -> String {
    let text = |value: &str| format!(r#"{{"type":"EVENT","messageId":"{number:010}","value":"{value}"}}"#);
    let missing = MESSAGE_BYTES - text("").len();
    text(&"v".repeat(missing))
}

/// How many messages an ACK confirms.
fn confirmed(answer: &serde_json::Value) -> u64 {
    assert_eq!(answer["type"], "ACK", "{answer}");
    answer["messageIds"].as_array().map_or(1, |ids| ids.len() as u64)
}

async fn fill(relay: &Relay, messages: u64) {
    let Peer { link, .. } = Peer::connect_with(relay, "id=sender", &[("Slipstream-Accept", "ack-batch")]).await;
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

async fn drain(relay: &Relay, messages: u64) {
    let Peer { link, .. } = Peer::connect(relay, "id=away").await;
    let (mut reader, mut writer) = (link.reader, link.writer);
    let mut ids = Vec::with_capacity(ACK_BATCH);
    let mut number = 0;
    while number < messages {
        match event(&mut reader).await {
            Event::Message(message) => {
                assert_eq!(message.id(), format!("{number:010}"), "it comes in order, once");
                ids.push(message.id().to_owned());
                number += 1;
            }
            Event::Ping(_) => {}
            other => panic!("{other:?} after {number} messages"),
        }
        if ids.len() == ACK_BATCH || number == messages {
            let acks = json!({"type": "ACK", "messageIds": ids, "clusterGroupId": "singleton"});
            writer.text(&acks.to_string());
            writer.flush().await.expect("the link is up");
            ids.clear();
        }
    }
}

#[tokio::test]
async fn a_backlog_costs_disk_and_is_drained_in_order() {
    let messages = support::number_from_environment("SLIPSTREAM_BACKLOG_MESSAGES").unwrap_or(MESSAGES);
    let folder = tempfile::tempdir().expect("a folder");
    let flags = ["--enable-message-logs=false"];
    let relay = Relay::start(folder.path(), &flags).await;
    drop(Peer::connect(&relay, "id=away").await);
    relay.metric_becomes(r#"slipstream_active_connections{kind="application"}"#, 0.0).await;

    let begun = Instant::now();
    fill(&relay, messages).await;
    println!("{messages} messages of {MESSAGE_BYTES} bytes were confirmed in {:?}", begun.elapsed());
    relay.assert_small("while it grew");
    assert!(relay.metric(r#"slipstream_backlog{peer="away"}"#).await >= messages as f64);
    assert!(relay.metric("slipstream_store_bytes").await >= (messages * MESSAGE_BYTES as u64) as f64);
    assert!(relay.stop().await.success());

    let relay = Relay::start(folder.path(), &flags).await;
    relay.assert_small("after a restart");
    let begun = Instant::now();
    drain(&relay, messages).await;
    println!("they were drained in {:?}", begun.elapsed());
    relay.metric_becomes(r#"slipstream_backlog{peer="away"}"#, 0.0).await;
    relay.assert_small("while it was drained");
}
