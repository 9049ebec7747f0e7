//! How a delivery ends where nobody acknowledges it.

#![cfg(test)]

mod support;

use serde_json::json;
use support::{Peer, Relay, eventually, get};

async fn publish(sender: &mut Peer, id: &str) {
    sender.publish(json!({"type": "EVENT", "messageId": id})).await;
}

#[tokio::test]
async fn a_message_beyond_what_a_peer_announced_becomes_a_dead_letter() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let mut small = Peer::connect_with(&relay, "id=small", &[("Slipstream-Max-Message-Bytes", "600")]).await;
    sender.publish(json!({"type": "EVENT", "messageId": "large", "value": "v".repeat(600)})).await;
    publish(&mut sender, "m0").await;
    assert_eq!(small.take().await.id(), "m0");
    relay.metric_becomes("slipstream_dead_letters", 1.0).await;
    relay.metric_becomes(r#"slipstream_deliveries_total{outcome="dead"}"#, 1.0).await;
    relay.metric_becomes(r#"slipstream_backlog{peer="small"}"#, 0.0).await;
}

#[tokio::test]
async fn a_peer_that_stays_away_too_long_is_forgotten_with_what_it_is_owed() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--peer-ttl=1s"]).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    drop(Peer::connect(&relay, "id=away").await);
    publish(&mut sender, "m0").await;
    eventually("the peer is forgotten", async || {
        let page = get(relay.admin, "/metrics").await.body;
        (!page.contains(r#"peer="away""#)).then_some(())
    })
    .await;
    let mut away = Peer::connect(&relay, "id=away").await;
    publish(&mut sender, "m1").await;
    assert_eq!(away.take().await.id(), "m1", "what it was owed went with it");
}
