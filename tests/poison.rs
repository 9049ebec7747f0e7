//! Peers that cannot take a message: one that is too large for them, one that they die of (PROTOCOL: "Delivery").

#![cfg(test)]

mod support;

use std::collections::BTreeSet;

use serde_json::json;
use support::{Message, Peer, Relay};

const DEAD: &str = r#"slipstream_deliveries_total{outcome="dead"}"#;
const IN_FLIGHT: &str = r#"slipstream_inflight{peer="peer"}"#;
const BACKLOG: &str = r#"slipstream_backlog{peer="peer"}"#;

/// A relay that holds these messages for an application named `peer`, which is away.
async fn holding(folder: &tempfile::TempDir, messages: impl IntoIterator<Item = (String, usize)>) -> Relay {
    let relay = Relay::start(folder.path(), &[]).await;
    drop(Peer::connect(&relay, "id=peer").await);
    let mut sender = Peer::connect(&relay, "id=sender").await;
    for (id, bytes) in messages {
        sender.publish(json!({"type": "EVENT", "messageId": id, "value": "v".repeat(bytes)})).await;
    }
    relay
}

/// The next message. If all that the peer can take was taken, what it cannot take may come, or nothing is owed any more:
/// then there is none.
async fn next(peer: &mut Peer, relay: &Relay, has_all: bool) -> Option<Message> {
    if !has_all {
        return Some(peer.message().await);
    }
    tokio::select! {
        message = peer.message() => Some(message),
        () = relay.metric_becomes(BACKLOG, 0.0) => None,
    }
}

/// The peer announces no limit, and has one: it closes with 1009, again and again.
#[tokio::test]
async fn what_a_peer_closes_with_1009_for_is_set_aside_and_the_rest_arrives() {
    const LIMIT: usize = 128 << 10;
    let folder = tempfile::tempdir().expect("a folder");
    let sizes = [("m0", 10), ("m1", 300 << 10), ("m2", 10), ("m3", 200 << 10), ("m4", LIMIT - 1_000), ("m5", 10)];
    let relay = holding(&folder, sizes.map(|(id, bytes)| (id.to_owned(), bytes))).await;
    let mut taken = Vec::new();
    'links: for links in 1.. {
        assert!(links < 10, "{taken:?}");
        let mut peer = Peer::connect(&relay, "id=peer").await;
        while let Some(message) = next(&mut peer, &relay, taken.len() == 4).await {
            if message.text.len() > LIMIT {
                peer.close(1009).await;
                continue 'links;
            }
            peer.acknowledge(&message).await;
            // What it acknowledged may come again on a link that takes over before that was read.
            if !taken.iter().any(|id| id == message.id()) {
                taken.push(message.id().to_owned());
            }
        }
        break;
    }
    assert_eq!(taken, ["m0", "m2", "m4", "m5"]);
    assert_eq!(relay.metric(DEAD).await, 2.0);
}

/// The peer is killed by handling one message, whichever it had acknowledged before.
#[tokio::test]
async fn a_message_that_its_reader_dies_of_is_set_aside_and_all_else_arrives() {
    const MESSAGES: usize = 1_000;
    for poison in [0, 3, 700] {
        let folder = tempfile::tempdir().expect("a folder");
        let relay = holding(&folder, (0..MESSAGES).map(|number| (format!("m{number}"), 10))).await;
        let poison = format!("m{poison}");
        let mut taken = BTreeSet::new();
        'links: for links in 1.. {
            assert!(links < 20, "{poison}: {} were taken", taken.len());
            let mut peer = Peer::connect(&relay, "id=peer").await;
            while let Some(message) = next(&mut peer, &relay, taken.len() == MESSAGES - 1).await {
                if message.id() == poison {
                    drop(peer);
                    // Links that take over from one another lose the last acknowledgements, so that more of them are needed.
                    relay.metric_becomes(IN_FLIGHT, 0.0).await;
                    continue 'links;
                }
                peer.acknowledge(&message).await;
                taken.insert(message.id().to_owned());
            }
            break;
        }
        assert_eq!(relay.metric(DEAD).await, 1.0, "{poison}");
    }
}
