//! A relay that is killed and started again, and two thousand peers that come back at once, with and without TLS.

#![cfg(test)]

mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;
use support::{
    Files, HOST, Pair, Peer, Relay, Sealer, allow_links, each, get, number_from_environment, upgrade_over, within,
};
use tokio::runtime::Builder;
use tokio::task::{JoinSet, spawn_blocking};

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

/// How a peer came back.
struct Back {
    /// How often it was not let in before.
    failures: u64,
    /// When it was in, and had what it missed.
    after: Duration,
    _peer: Peer,
}

/// Comes back as a peer does, again and again until it is in, and takes what it has missed.
async fn come_back(sealer: Sealer, relay: SocketAddr, number: u64, missed: Vec<String>) -> Back {
    let (began, mut failures) = (Instant::now(), 0);
    let target = format!("/?id=peer-{number}&tags=all");
    let link = loop {
        if let Ok(stream) = sealer.connect(relay).await
            && let Ok(link) = upgrade_over(stream, "", &target, &[]).await
        {
            break link;
        }
        failures += 1;
    };
    let mut peer = Peer::on(link);
    assert_eq!(peer.take_ids(missed.len()).await, missed, "peer {number}");
    Back { failures, after: began.elapsed(), _peer: peer }
}

/// Has so many peers come back at once, on a thread of their own, so that they hold up nobody who measures.
async fn storm(sealer: &Sealer, relay: SocketAddr, peers: u64, missed: Vec<String>) -> Vec<Back> {
    let sealer = sealer.clone();
    let coming = async move {
        let mut coming = JoinSet::new();
        for number in 0..peers {
            coming.spawn(come_back(sealer.clone(), relay, number, missed.clone()));
        }
        coming.join_all().await
    };
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    spawn_blocking(move || runtime.block_on(within("all peers to be back", coming))).await.expect("no panic")
}

#[tokio::test]
async fn peers_that_come_back_over_tls_starve_nobody_who_is_up() {
    let peers = number_from_environment("SLIPSTREAM_STORM_PEERS").unwrap_or(300);
    allow_links(peers);
    let files = Files::usual();
    // The key that costs a relay the most of those that it takes.
    files.openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:4096 -out relay.key");
    files.issue_for_key("ca", "relay", HOST, 90);
    let quiet = ["--enable-message-logs=false", "--max-connections-per-address=0"].map(str::to_owned);
    let flags = [files.mutual("relay"), quiet.to_vec()].concat();
    let sealer = Sealer::new(&files, Some("machine-7"));
    let mut relay = Relay::start(files.folder(), &each(&flags)).await;
    drop(storm(&sealer, relay.links, peers, Vec::new()).await);
    let mut sender = sealer.peer(relay.links, "id=sender").await;
    for id in ids() {
        sender.publish(json!({"type": "EVENT", "messageId": id, "targetedTags": ["all"]})).await;
    }
    relay.process.kill().await;

    let relay = Relay::start(files.folder(), &each(&flags)).await;
    let receiver = sealer.peer(relay.links, "id=pair-receiver&tags=pair").await;
    let mut pair = Pair::of(sealer.peer(relay.links, "id=pair-sender").await, receiver);
    pair.goes_on().await;
    let (before, began) = (pair.exchanged().messages, Instant::now());
    let mut back = storm(&sealer, relay.links, peers, ids()).await;
    let took = began.elapsed();
    let exchanged = pair.exchanged().messages - before;
    pair.goes_on().await;
    let slowest = pair.exchanged().slowest;
    back.sort_by_key(|back| back.after);
    let half = back[back.len() / 2].after;
    let late: u64 = back.iter().map(|back| back.failures).sum();
    println!("{peers} peers were back after {took:?}, half of them after {half:?}; {late} times one came too late");
    println!("meanwhile those who were up exchanged {exchanged} messages, the slowest in {slowest:?}");
    let page = get(relay.admin, "/metrics").await.body;
    assert!(page.contains("slipstream_tls_handshakes_waiting{use=\"listener\"} 0\n"), "nobody waits any more:\n{page}");
    // However fast the machine is: who is up does not wait for all who come.
    assert!(slowest < took / 2, "who was up waited {slowest:?} of {took:?}");
}
