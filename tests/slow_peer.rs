//! A peer that does not read costs disk, never memory, and never delays another.

#![cfg(test)]

mod support;

use serde_json::json;
use support::{Event, Peer, Relay, event, within};

/// What is sent is 160 MiB, for each of two peers, far more than the memory that the relay may have.
const MESSAGES: u32 = 40_000;
const VALUE_BYTES: usize = 4096;

/// Most messages that the sender has sent and that are not confirmed.
const UNCONFIRMED: u32 = 500;

async fn send_all(relay: &Relay) {
    let Peer { link, .. } = Peer::connect(relay, "id=sender").await;
    let (mut reader, mut writer) = (link.reader, link.writer);
    let value = "v".repeat(VALUE_BYTES);
    let (mut sent, mut confirmed) = (0, 0);
    while confirmed < MESSAGES {
        while sent < MESSAGES && sent - confirmed < UNCONFIRMED {
            writer.text(&json!({"type": "EVENT", "messageId": sent.to_string(), "value": value}).to_string());
            sent += 1;
        }
        writer.flush().await.expect("the link is up");
        match event(&mut reader).await {
            Event::Answer(answer) => {
                assert_eq!(answer["type"], "ACK", "{answer}");
                confirmed += 1;
            }
            Event::Ping(_) | Event::Pong(_) => {}
            other => panic!("{other:?} at the sender"),
        }
    }
}

async fn take_all(mut peer: Peer) {
    for number in 0..MESSAGES {
        assert_eq!(peer.take().await.id(), number.to_string());
    }
}

#[tokio::test]
async fn a_peer_that_never_reads_harms_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    // A stuck peer sends nothing either; without this limit it would be dropped as dead.
    let flags = ["--idle-timeout", "1h", "--enable-message-logs=false"];
    let relay = Relay::start(folder.path(), &flags).await;
    let stuck = Peer::connect(&relay, "id=stuck").await;
    let reading = Peer::connect(&relay, "id=reading").await;
    within("the reading peer to get everything", async { tokio::join!(send_all(&relay), take_all(reading)) }).await;
    let owed = relay.metric(r#"slipstream_backlog{peer="stuck"}"#).await;
    assert!(owed == f64::from(MESSAGES), "{owed} are owed to the peer that never read");
    relay.assert_small("beside a stuck peer");
    // What it did not read is there when it reads.
    within("the stuck peer to get everything", take_all(stuck)).await;
    relay.metric_becomes(r#"slipstream_backlog{peer="stuck"}"#, 0.0).await;
    relay.assert_small("while it catches up");
}

#[tokio::test]
async fn a_peer_that_is_dead_is_dropped_and_gets_everything_when_it_is_back() {
    let folder = tempfile::tempdir().expect("a folder");
    // It binds the sender, too, however slow the machine is.
    let flags = ["--heartbeat", "1s", "--idle-timeout", "20s", "--enable-message-logs=false"];
    let relay = Relay::start(folder.path(), &flags).await;
    let dead = Peer::connect(&relay, "id=dead").await;
    relay.metric_becomes(r#"slipstream_active_connections{kind="application"}"#, 1.0).await;
    // Its writer stands in a write that never ends; its link must end all the same.
    within("everything to be confirmed", send_all(&relay)).await;
    relay.metric_becomes(r#"slipstream_active_connections{kind="application"}"#, 0.0).await;
    drop(dead);
    let again = Peer::connect(&relay, "id=dead").await;
    within("everything to arrive", take_all(again)).await;
}
