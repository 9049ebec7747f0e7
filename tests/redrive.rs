//! What an operator does with dead letters while the relay runs.

#![cfg(test)]

mod local;
mod support;

use std::num::NonZeroU32;

use local::{Local, Place};
use serde_json::json;
use slipstream::relay::Subscriber;
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

/// Has `app` refuse the old value of a price for good and go away, so that a newer one is held for it.
async fn refused_and_away(relay: &Local, query: &str) -> Sequence {
    let (mut shop, mut app) = (relay.connect("id=shop").await, relay.connect(query).await);
    shop.publish(json!({"type": "SK", "key": "price", "value": "old"})).await;
    let id = app.message().await.id().to_owned();
    app.send(json!({"type": "NACK", "messageId": id, "reason": "no", "code": "invalid"})).await;
    let old = dead(relay, "app", 1).await[0];
    app.close(1000).await;
    shop.publish(json!({"type": "SK", "key": "price", "value": "new"})).await;
    relay.backlog_becomes("app", 1).await;
    old
}

#[tokio::test]
async fn a_redriven_value_supersedes_no_newer_one() {
    let relay = Place::new("here").start().await;
    let old = refused_and_away(&relay, "id=app").await;
    relay.operator.redrive(&peer("app"), old).await.unwrap();
    let mut app = relay.connect("id=app").await;
    let (new, old) = (app.message().await, app.message().await);
    assert_eq!((new.raw("value"), old.raw("value")), ("\"new\"".to_owned(), "\"old\"".to_owned()));
    app.acknowledge(&old).await;
    relay.backlog_becomes("app", 1).await;
    app.close(1000).await;
    let mut app = relay.connect("id=app").await;
    assert_eq!(app.take().await.raw("value"), "\"new\"", "it was never acknowledged");
    relay.stop().await;
}

#[tokio::test]
async fn what_is_coalesced_is_not_superseded_by_an_older_value_that_was_redriven() {
    let mut place = Place::new("here");
    place.settings.subscribers.push(Subscriber { id: peer("app"), tags: None, group: None, coalesce: true });
    let relay = place.start().await;
    let old = refused_and_away(&relay, "id=app").await;
    relay.operator.redrive(&peer("app"), old).await.unwrap();
    let mut app = relay.connect("id=app").await;
    assert_eq!(app.take().await.raw("value"), "\"new\"");
    assert_eq!(app.take().await.raw("value"), "\"old\"", "an operator wanted it");
    relay.backlog_becomes("app", 0).await;
    relay.stop().await;
}
