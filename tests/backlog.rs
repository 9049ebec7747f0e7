//! A long backlog of an absent peer costs disk, not memory, and is drained in order.
//!
//! `SLIPSTREAM_BACKLOG_MESSAGES` sets its length; `.ci/run` runs it with a million.

#![cfg(test)]

mod support;

use std::time::Instant;

use support::{Peer, Relay, bulk_id, drain, fill};

/// The length of the backlog where the environment names none.
const MESSAGES: u64 = 50_000;

/// The size of each message on the wire.
const MESSAGE_BYTES: usize = 256;

/// A message of exactly [`MESSAGE_BYTES`].
fn message(number: u64) -> String {
    let id = bulk_id(number);
    let text = |value: &str| format!(r#"{{"type":"EVENT","messageId":"{id}","value":"{value}"}}"#);
    let missing = MESSAGE_BYTES - text("").len();
    text(&"v".repeat(missing))
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
    fill(&relay, messages, message).await;
    println!("{messages} messages of {MESSAGE_BYTES} bytes were confirmed in {:?}", begun.elapsed());
    relay.assert_small("while it grew");
    assert!(relay.metric(r#"slipstream_backlog{peer="away"}"#).await >= messages as f64);
    assert!(relay.metric("slipstream_store_bytes").await >= (messages * MESSAGE_BYTES as u64) as f64);
    assert!(relay.stop().await.success());

    let relay = Relay::start(folder.path(), &flags).await;
    relay.assert_small("after a restart");
    let begun = Instant::now();
    drain(Peer::connect(&relay, "id=away").await, messages).await;
    println!("they were drained in {:?}", begun.elapsed());
    relay.metric_becomes(r#"slipstream_backlog{peer="away"}"#, 0.0).await;
    relay.assert_small("while it was drained");
}
