//! Relays among themselves: every application gets each message once, by whatever way.

#![cfg(test)]

mod local;
mod support;

use std::sync::Arc;
use std::time::Duration;

use local::{Local, Place};
use serde_json::json;
use support::{Peer, Proxy};
use tokio::task::JoinSet;

fn event(id: &str) -> serde_json::Value {
    json!({"type": "EVENT", "messageId": id})
}

async fn publish(app: &mut Peer, ids: &[String]) {
    for id in ids {
        app.publish(event(id)).await;
    }
}

#[tokio::test]
async fn messages_go_through_a_chain_with_the_whole_path_and_answers_come_back() {
    let mut places = [Place::new("a"), Place::new("b"), Place::new("c")];
    let url = places[1].url();
    places[0].settings.peers.push(local::dial("to-b", &url));
    let url = places[2].url();
    places[1].settings.peers.push(local::dial("to-c", &url));
    let [a, b, c] = [places[0].start().await, places[1].start().await, places[2].start().await];
    for (relay, peer) in [(&a, "b"), (&b, "a"), (&b, "c"), (&c, "b")] {
        relay.links(peer).await;
    }
    let (mut near, mut far) = (a.connect("id=near").await, c.connect("id=far&tags=t").await);
    let ask = json!({"type": "GK", "key": "k", "messageId": "ask", "targetedInstances": ["far"], "targetedTags": []});
    near.publish(ask).await;
    let asked = far.take().await;
    assert_eq!(asked.json["messagePath"], json!(["near", "a", "b", "c"]));
    assert_eq!((asked.string("originInstanceId"), asked.string("sourceInstanceId")), ("near", "b"));
    let answer = json!({"type": "VALUE", "messageId": "answer", "inReplyTo": "ask", "targetedInstances": ["near"]});
    far.publish(answer).await;
    assert_eq!(near.take().await.json["messagePath"], json!(["far", "c", "b", "a"]));
    for relay in [a, b, c] {
        for peer in ["a", "b", "c"] {
            if relay.observer.observe().await.peers.iter().any(|each| each.peer.id.as_str() == peer) {
                relay.backlog_becomes(peer, 0).await;
            }
        }
        relay.stop().await;
    }
}

#[tokio::test]
async fn two_relays_that_dial_each_other_at_once_end_with_one_link_and_exchange_each_message_once() {
    for round in 0..50 {
        // Now the one, now the other has the smaller id; now they know each other's id, now they do not.
        let (one, other) = if round % 2 == 0 { ("a", "b") } else { ("b", "a") };
        let strangers = round % 4 < 2;
        let (mut here, mut there) = (Place::new(one), Place::new(other));
        let (url, back) = (there.url(), here.url());
        here.settings.peers.push(local::dial(if strangers { "there" } else { other }, &url));
        there.settings.peers.push(local::dial(if strangers { "here" } else { one }, &back));
        for run in 0..2 {
            let (near, far) = tokio::join!(here.start(), there.start());
            let (mut left, mut right) = tokio::join!(near.connect("id=left"), far.connect("id=right"));
            let ids: Vec<_> = (0..10).map(|number| format!("r{round}-{run}-{number}")).collect();
            let (sent, back) = ids.split_at(5);
            tokio::join!(publish(&mut left, sent), publish(&mut right, back));
            let (mut there, mut here) = tokio::join!(right.take_ids(5), left.take_ids(5));
            if strangers {
                // What was held under the alias may come after what was sent on the link of one's own.
                there.sort();
                here.sort();
            }
            assert_eq!((there, here), (sent.to_vec(), back.to_vec()), "in round {round}");
            tokio::join!(near.backlog_becomes(other, 0), far.backlog_becomes(one, 0));
            tokio::join!(near.settles(), far.settles());
            assert_eq!((near.observer.dials()[0].peer.as_str(), near.remembered().await.len()), (other, 2));
            drop((left, right));
            tokio::join!(near.stop(), far.stop());
        }
    }
}

#[tokio::test]
async fn relays_are_restarted_in_any_order_and_nothing_is_lost_or_comes_twice() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut places = [Place::new("a"), Place::new("b"), Place::new("c")];
        let urls: Vec<_> = places.iter_mut().map(Place::url).collect();
        // A triangle, in which each dials both others.
        for (index, place) in places.iter_mut().enumerate() {
            for (other, url) in urls.iter().enumerate().filter(|(other, _)| *other != index) {
                place.settings.peers.push(local::dial(&format!("relay-{other}"), url));
            }
        }
        let mut relays: Vec<Option<Local>> = Vec::new();
        for place in &mut places {
            relays.push(Some(place.start().await));
        }
        for relay in relays.iter().flatten() {
            drop(relay.connect(&format!("id=app-{}", relay.name())).await);
        }
        for (step, index) in order.into_iter().enumerate() {
            relays[index].take().expect("it runs").stop().await;
            // The two others take messages meanwhile, which all three applications are owed in the end.
            let up = relays.iter().flatten().next().expect("one runs");
            let mut app = up.connect(&format!("id=sender-{step}")).await;
            publish(&mut app, &[format!("m{step}-0"), format!("m{step}-1")]).await;
            drop(app);
            relays[index] = Some(places[index].start().await);
        }
        let wanted = ["m0-0", "m0-1", "m1-0", "m1-1", "m2-0", "m2-1"];
        for relay in relays.iter().flatten() {
            let mut app = relay.connect(&format!("id=app-{}", relay.name())).await;
            let mut got = app.take_ids(wanted.len()).await;
            app.silent().await;
            // Each step has a sender of its own.
            got.sort();
            assert_eq!(got, wanted, "at {} in the order {order:?}", relay.name());
        }
        for relay in relays.into_iter().flatten() {
            relay.stop().await;
        }
    }
}

#[tokio::test]
async fn a_healed_link_delivers_nothing_twice_though_no_identity_is_remembered_any_more() {
    let mut places = [Place::new("a"), Place::new("b"), Place::new("c")];
    for place in &mut places {
        place.settings.dedup_window = Duration::ZERO;
        place.settings.stages.janitor_interval = Duration::from_millis(10);
    }
    let to_b = places[1].url();
    let proxy = Proxy::start(places[1].address).await;
    places[0].settings.peers.push(local::dial("to-b", &proxy.url()));
    let to_c = places[2].url();
    places[0].settings.peers.push(local::dial("to-c", &to_c));
    places[2].settings.peers.push(local::dial("to-b", &to_b));
    let [a, b, c] = [places[0].start().await, places[1].start().await, places[2].start().await];
    for (relay, peer) in [(&a, "b"), (&a, "c"), (&c, "b")] {
        relay.links(peer).await;
    }
    let (mut left, mut right) = (a.connect("id=left").await, b.connect("id=right").await);
    proxy.cut();
    let sent: Vec<_> = (0..50).map(|number| format!("m{number}")).collect();
    let back: Vec<_> = (0..50).map(|number| format!("n{number}")).collect();
    tokio::join!(publish(&mut left, &sent), publish(&mut right, &back));
    // Both get theirs by way of c, and what the link is owed waits on both sides of it.
    assert_eq!(tokio::join!(right.take_ids(50), left.take_ids(50)), (sent, back));
    a.backlog_becomes("b", 50).await;
    for relay in [&a, &b, &c] {
        relay.forgets_identities().await;
    }
    proxy.mend();
    tokio::join!(a.backlog_becomes("b", 0), b.backlog_becomes("a", 0));
    tokio::join!(left.silent(), right.silent());
    tokio::join!(a.stop(), b.stop(), c.stop());
}

#[tokio::test]
async fn a_message_over_the_limit_of_the_far_relay_is_a_dead_letter_and_the_link_stays() {
    let (mut here, mut there) = (Place::new("a"), Place::new("b"));
    there.settings.link.max_message_bytes = 1000;
    here.settings.peers.push(local::dial("there", &there.url()));
    let (near, far) = tokio::join!(here.start(), there.start());
    near.links("b").await;
    let (mut left, mut right) = (near.connect("id=left").await, far.connect("id=right").await);
    let room = 64 << 10;
    left.publish(json!({"type": "SK", "key": "k", "value": "v".repeat(room + 1000), "messageId": "long"})).await;
    left.publish(json!({"type": "SK", "key": "k", "value": "v".repeat(room), "messageId": "fits"})).await;
    left.publish(event("short")).await;
    assert_eq!(right.take_ids(2).await, ["fits", "short"]);
    near.backlog_becomes("b", 0).await;
    assert_eq!(near.observer.observe().await.store.expect("it answers").dead_letters, 1);
    tokio::join!(near.stop(), far.stop());
}

#[tokio::test]
async fn in_a_full_mesh_of_five_every_application_gets_each_message_once_in_the_order_of_its_sender() {
    let mut places: Vec<_> = (0..RELAYS).map(|index| Place::new(&format!("relay-{index}"))).collect();
    let urls: Vec<_> = places.iter_mut().map(Place::url).collect();
    for (index, place) in places.iter_mut().enumerate() {
        for (other, url) in urls.iter().enumerate().filter(|(other, _)| *other != index) {
            place.settings.peers.push(local::dial(&format!("relay-{other}"), url));
        }
    }
    let mut relays = Vec::new();
    for place in &mut places {
        relays.push(Arc::new(place.start().await));
    }
    let mut working = Vec::new();
    for (own, relay) in relays.iter().enumerate() {
        // Before anything is sent, so that every relay holds everything for its application.
        let app = relay.connect(&format!("id=app-{own}")).await;
        working.push(exchange(own, Arc::clone(relay), app));
    }
    let mut working: JoinSet<()> = working.into_iter().collect();
    while let Some(worked) = working.join_next().await {
        worked.expect("each application is content");
    }
    for relay in relays {
        Arc::into_inner(relay).expect("nobody else has it").stop().await;
    }
}

const RELAYS: usize = 5;
const MESSAGES: usize = 40;

/// Sends messages from the application at this relay, and takes those of all others.
async fn exchange(own: usize, relay: Arc<Local>, mut app: Peer) {
    for number in 0..MESSAGES {
        app.publish(event(&format!("{own}-{number}"))).await;
    }
    let mut next = [0; RELAYS];
    for _ in 0..MESSAGES * (RELAYS - 1) {
        let message = app.take().await;
        let (sender, number) = message.id().split_once('-').expect("an id of ours");
        let sender: usize = sender.parse().expect("a relay's number");
        assert_eq!(number, next[sender].to_string(), "from {sender} at {own}");
        next[sender] += 1;
        let path = message.json["messagePath"].as_array().expect("a path");
        assert_eq!(path.first(), Some(&json!(format!("app-{sender}"))));
        assert_eq!(path.get(1), Some(&json!(format!("relay-{sender}"))));
        assert_eq!(path.last(), Some(&json!(format!("relay-{own}"))));
        assert!(path.len() <= RELAYS + 1, "{path:?}");
    }
    for other in (0..RELAYS).filter(|other| *other != own) {
        relay.backlog_becomes(&format!("relay-{other}"), 0).await;
    }
    app.silent().await;
}
