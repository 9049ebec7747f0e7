//! What an operator does with peers while the relay runs.

#![cfg(test)]

mod local;
mod support;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use local::{Local, Place};
use serde_json::json;
use slipstream::relay::{Declared, Forgotten};
use slipstream::store::{ClusterGroup, DeadLetterFilter, MessageStore as _, PageLimit, PeerId, Tag};
use support::{Peer, eventually};

fn peer(id: &str) -> PeerId {
    PeerId::new(id).unwrap()
}

async fn publish(shop: &mut Peer, numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        shop.publish(json!({"type": "SK", "key": format!("k{number}"), "value": number})).await;
    }
}

async fn takes(app: &mut Peer, numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        assert_eq!(app.take().await.raw("value"), number.to_string());
    }
}

/// Waits until so many deliveries were given up, of this peer alone.
async fn gives_up(relay: &Local, id: &str, count: usize) {
    let look = || async {
        let all = PageLimit::items(NonZeroU32::MAX);
        let dead = relay.store.dead_letters(&DeadLetterFilter::default(), None, all).await.unwrap().items;
        assert!(dead.iter().all(|dead| dead.peer.as_str() == id), "{dead:?}");
        (dead.len() == count).then_some(())
    };
    eventually("the dead letters", look).await;
}

#[tokio::test]
async fn a_paused_peer_gets_what_it_is_owed_once_it_is_resumed() {
    let mut place = Place::new("here");
    place.settings.delivery.ack_timeout = Duration::from_millis(20);
    place.settings.delivery.max_republishes = 1;
    let relay = place.start().await;
    let mut shop = relay.connect("id=shop").await;
    let (mut paused, deaf) = (relay.connect("id=paused").await, relay.connect("id=deaf").await);
    // The ACK timeout must not pass before the pause.
    assert!(relay.operator.pause(&peer("paused")).await.unwrap());
    publish(&mut shop, 1..=3).await;
    paused.silent().await;
    relay.backlog_becomes("paused", 3).await;

    // By then every timeout has passed, more often than deliveries are republished.
    gives_up(&relay, "deaf", 3).await;
    deaf.close(1000).await;
    paused.silent().await;

    // The pause outlives its link and the relay.
    relay.stop().await;
    let relay = place.start().await;
    let mut paused = relay.connect("id=paused").await;
    paused.silent().await;
    let seen = relay.observer.observe().await.peers;
    let seen = seen.iter().find(|seen| seen.peer.id.as_str() == "paused").unwrap();
    assert!(seen.peer.paused && seen.linked_from.is_some() && seen.backlog == 3 && seen.in_flight == 0);

    assert!(relay.operator.resume(&peer("paused")).await.unwrap());
    takes(&mut paused, 1..=3).await;
    let mut shop = relay.connect("id=shop").await;
    publish(&mut shop, [4]).await;
    takes(&mut paused, [4]).await;
    assert!(!relay.operator.pause(&peer("nobody")).await.unwrap());
    relay.stop().await;
}

#[tokio::test]
async fn what_is_in_flight_to_a_paused_peer_can_be_acknowledged_and_is_not_given_up() {
    let mut place = Place::new("here");
    place.settings.delivery.ack_timeout = Duration::from_millis(200);
    place.settings.delivery.max_republishes = 1;
    let relay = place.start().await;
    let (mut shop, mut paused) = (relay.connect("id=shop").await, relay.connect("id=paused").await);
    publish(&mut shop, 1..=2).await;
    let (first, second) = (paused.message().await, paused.message().await);
    assert_eq!((first.raw("value"), second.raw("value")), ("1".to_owned(), "2".to_owned()));
    relay.operator.pause(&peer("paused")).await.unwrap();
    let deaf = relay.connect("id=deaf").await;
    publish(&mut shop, [3]).await;
    gives_up(&relay, "deaf", 1).await;
    drop(deaf);

    paused.acknowledge(&first).await;
    relay.backlog_becomes("paused", 2).await;
    relay.operator.resume(&peer("paused")).await.unwrap();
    // The second was sent before, and counts as unanswered from now on.
    takes(&mut paused, [3, 2]).await;
    relay.backlog_becomes("paused", 0).await;
    relay.stop().await;
}

#[tokio::test]
async fn messages_are_held_for_a_declared_peer_before_it_links() {
    let mut place = Place::dialling("here", "there", "ws://127.0.0.1:9/");
    let relay = place.start().await;
    let mut shop = relay.connect("id=shop").await;
    let declare = async |id: &str, tag: &str| {
        let tags: Arc<[Tag]> = [Tag::new(tag).unwrap()].into();
        relay.operator.declare(peer(id), tags, ClusterGroup::singleton()).await.unwrap()
    };
    assert_eq!(declare("app", "blue").await, Declared::New);
    for tag in ["blue", "red"] {
        shop.publish(json!({"type": "SK", "key": "k", "value": tag, "targetedTags": [tag]})).await;
    }
    relay.backlog_becomes("app", 1).await;
    assert_eq!(declare("app", "red").await, Declared::Changed);
    shop.publish(json!({"type": "SK", "key": "k", "value": "red", "targetedTags": ["red"]})).await;
    let mut app = relay.connect("id=app&tags=red").await;
    assert_eq!(app.take().await.raw("value"), "\"blue\"");
    assert_eq!(app.take().await.raw("value"), "\"red\"");

    assert_eq!(declare("app", "green").await, Declared::Linked);
    for id in ["here", "there"] {
        assert_eq!(declare(id, "green").await, Declared::Configured, "{id}");
    }
    relay.stop().await;
}

#[tokio::test]
async fn an_absent_peer_is_forgotten_and_a_linked_one_is_disconnected() {
    let mut place = Place::dialling("here", "there", "ws://127.0.0.1:9/");
    let relay = place.start().await;
    let (mut shop, mut app) = (relay.connect("id=shop").await, relay.connect("id=app").await);
    let forget = async |id: &str| relay.operator.forget(&peer(id)).await.unwrap();
    assert_eq!(forget("app").await, Forgotten::Linked);
    assert_eq!(forget("there").await, Forgotten::Configured);
    assert_eq!(forget("nobody").await, Forgotten::Unknown);

    assert!(!relay.operator.disconnect(&peer("nobody")));
    assert!(relay.operator.disconnect(&peer("app")));
    assert_eq!(app.closed().await, (1001, "disconnected by an operator".to_owned()));
    publish(&mut shop, 1..=2).await;
    relay.backlog_becomes("app", 2).await;
    let forgotten = || async { Some(forget("app").await).filter(|outcome| *outcome != Forgotten::Linked) };
    assert_eq!(eventually("the end of its link", forgotten).await, Forgotten::Forgotten { owed: 2 });
    assert_eq!(forget("app").await, Forgotten::Unknown);
    let mut app = relay.connect("id=app").await;
    app.silent().await;
    relay.stop().await;
}
