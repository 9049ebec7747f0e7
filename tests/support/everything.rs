//! A store with everything in it that a store can hold, made and emptied by relays.

use serde_json::json;

use super::{Peer, Relay, bulk_message, drain, fill};

/// What the peer `away` is owed.
pub const BACKLOG: u64 = 2_500;

/// What a relay that makes such a store is to be started with.
pub const FILLING: [&str; 3] =
    ["--enable-message-logs=false", "--ack-timeout=300ms", "--max-message-republish-attempts=3"];

fn event(id: &str, tag: &str) -> String {
    json!({"type": "EVENT", "messageId": id, "targetedTags": [tag]}).to_string()
}

/// Has a relay make a store of everything that there is, and kills it: a backlog, a delivery with attempts, a dead letter,
/// an anonymous peer that is owed a message. Answers the relay's id.
pub async fn fill_with_everything(mut relay: Relay) -> String {
    drop(Peer::connect(&relay, "id=away&tags=away").await);
    let mut slow = Peer::connect(&relay, "id=slow&tags=slow").await;
    let mut dead = Peer::connect(&relay, "id=dead&tags=dead").await;
    let anonymous = Peer::connect(&relay, "tags=anonymous").await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    sender.publish(event("unheard", "dead")).await;
    dead.message().await;
    relay.metric_becomes("slipstream_dead_letters", 1.0).await;
    sender.publish(event("tried", "slow")).await;
    for _ in 0..2 {
        assert_eq!(slow.message().await.id(), "tried");
    }
    drop(slow);
    sender.publish(event("unnamed", "anonymous")).await;
    fill(&relay, BACKLOG, |number| bulk_message("away", number)).await;
    let id = anonymous.link.response.header("slipstream-id").expect("it is told").to_owned();
    relay.process.kill().await;
    id
}

/// Asserts that a relay over such a store is the one that the store was made by, and owes what it owed. Stops it.
pub async fn assert_delivers_everything(relay: Relay, id: &str) {
    assert_eq!(relay.metric("slipstream_dead_letters").await, 1.0);
    let mut sender = Peer::connect(&relay, "id=sender").await;
    assert_eq!(sender.link.response.header("slipstream-id"), Some(id));
    // Its identity is remembered, so that it is confirmed and not owed again.
    sender.publish(bulk_message("away", 0)).await;
    relay.metric_becomes(r#"slipstream_backlog{peer="away"}"#, BACKLOG as f64).await;
    let mut slow = Peer::connect(&relay, "id=slow&tags=slow").await;
    assert_eq!(slow.take().await.id(), "tried");
    drain(Peer::connect(&relay, "id=away&tags=away").await, BACKLOG).await;
    relay.metric_becomes(r#"slipstream_backlog{peer="away"}"#, 0.0).await;
    // Nobody reads on these, so the relay would wait for the answers to its Closes.
    drop((sender, slow));
    assert!(relay.stop().await.success());
}
