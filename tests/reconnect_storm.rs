//! A relay that is killed and started again, and two thousand peers that come back at once.

#![cfg(test)]

mod support;

use serde_json::json;
use support::{Pair, Peer, Relay, allow_links, number_from_environment};
use tokio::task::JoinSet;

/// What each peer has missed.
const MISSED: u32 = 5;

fn ids() -> Vec<String> {
    (0..MISSED).map(|number| format!("missed-{number}")).collect()
}

#[tokio::test]
async fn two_thousand_peers_come_back_at_once_and_get_what_they_missed() {
    let peers = number_from_environment("SLIPSTREAM_STORM_PEERS").unwrap_or(2_000);
    allow_links(peers);
    let folder = tempfile::tempdir().expect("a folder");
    let quiet = ["--enable-message-logs=false", "--max-connections-per-address=0"];
    let mut relay = Relay::start(folder.path(), &quiet).await;
    for number in 0..peers {
        drop(Peer::connect(&relay, &format!("id=peer-{number}&tags=all")).await);
    }
    let mut sender = Peer::connect(&relay, "id=sender").await;
    for id in ids() {
        sender.publish(json!({"type": "EVENT", "messageId": id, "targetedTags": ["all"]})).await;
    }
    relay.process.kill().await;

    let relay = Relay::start(folder.path(), &quiet).await;
    let mut pair = Pair::start(&relay).await;
    let mut coming = JoinSet::new();
    for number in 0..peers {
        let links = relay.links;
        coming.spawn(async move {
            let mut peer = Peer::connect_to(links, &format!("id=peer-{number}&tags=all"), &[]).await;
            assert_eq!(peer.take_ids(MISSED as usize).await, ids(), "peer {number}");
            peer
        });
    }
    pair.goes_on().await;
    let mut there = Vec::new();
    while let Some(peer) = coming.join_next().await {
        there.push(peer.expect("it gets what it missed, in order"));
    }
    pair.goes_on().await;
    support::eventually("the last acknowledgement", || async {
        let acknowledged = relay.metric(r#"slipstream_deliveries_total{outcome="acknowledged"}"#).await;
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        (acknowledged >= (peers * u64::from(MISSED)) as f64).then_some(())
    })
    .await;
}
