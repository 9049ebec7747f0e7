//! What an operator does with dead letters while the relay runs.

#![cfg(test)]

mod local;
mod support;

use std::num::NonZeroU32;

use local::{Local, Place};
use serde_json::json;
use slipstream::store::{DeadLetterFilter, MessageStore as _, PageLimit, PeerId, Sequence};
use support::eventually;

fn peer(id: &str) -> PeerId {
    PeerId::new(id).unwrap()
}

/// The sequences of the dead letters of a peer, once there are `count`.
async fn dead(relay: &Local, id: &str, count: usize) -> Vec<Sequence> {
    let of_peer = DeadLetterFilter { peer: Some(peer(id)), ..DeadLetterFilter::default() };
    let look = || async {
        let page = relay.store.dead_letters(&of_peer, None, PageLimit::items(NonZeroU32::MAX)).await.unwrap();
        (page.items.len() == count).then(|| page.items.into_iter().map(|dead| dead.sequence).collect())
    };
    eventually("the dead letters", look).await
}

#[tokio::test]
async fn a_redriven_dead_letter_reaches_a_linked_peer_at_once() {
    let relay = Place::new("here").start().await;
    let operator = relay.operator.clone();
    let (mut shop, mut warehouse) = (relay.connect("id=shop").await, relay.connect("id=warehouse").await);
    for number in 1..=3 {
        shop.publish(json!({"type": "SK", "key": format!("k{number}"), "value": number})).await;
        let id = warehouse.message().await.id().to_owned();
        warehouse.send(json!({"type": "NACK", "messageId": id, "reason": "no", "code": "invalid"})).await;
    }
    let dead_letters = dead(&relay, "warehouse", 3).await;

    // Nothing else is sent, so only the redrive can bring it.
    let redriven = operator.redrive(&peer("warehouse"), dead_letters[1]).await.unwrap();
    assert!(redriven > Some(dead_letters[2]));
    assert_eq!(warehouse.message().await.raw("value"), "2");
    let again = operator.redrive(&peer("warehouse"), dead_letters[1]).await.unwrap();
    assert_eq!(again, None, "it is no dead letter any more");

    assert!(operator.discard(&peer("warehouse"), dead_letters[0]).await.unwrap());
    assert!(!operator.discard(&peer("warehouse"), dead_letters[0]).await.unwrap());
    assert_eq!(dead(&relay, "warehouse", 1).await, dead_letters[2..]);

    // The handle does not keep the relay running.
    relay.stop().await;
    assert!(operator.redrive(&peer("warehouse"), dead_letters[2]).await.is_err());
}
