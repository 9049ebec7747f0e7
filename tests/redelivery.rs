//! What becomes of a delivery that a peer does not settle at once (PROTOCOL: "Delivery", "NACK").

#![cfg(test)]

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use support::{Peer, Relay};

/// Timeouts short enough to wait for.
const QUICK: [&str; 2] = ["--ack-timeout", "300ms"];

const DEAD: &str = r#"slipstream_deliveries_total{outcome="dead"}"#;

fn event(id: &str) -> serde_json::Value {
    json!({"type": "EVENT", "messageId": id})
}

fn value(id: &str, key: &str) -> serde_json::Value {
    json!({"type": "SK", "key": key, "value": id, "messageId": id})
}

fn nack(id: &str, code: &str) -> serde_json::Value {
    json!({"type": "NACK", "messageId": id, "code": code, "reason": "not now"})
}

#[tokio::test]
async fn what_is_never_settled_is_republished_as_it_was_and_is_a_dead_letter_in_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let flags = [&QUICK[..], &["--max-message-republish-attempts", "2"]].concat();
    let relay = Relay::start(folder.path(), &flags).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let mut peer = Peer::connect(&relay, "id=peer").await;
    sender.publish(event("m")).await;
    let first = peer.message().await;
    for _ in 0..2 {
        assert_eq!(peer.message().await.text, first.text);
    }
    relay.metric_becomes("slipstream_dead_letters", 1.0).await;
    assert_eq!(relay.metric(DEAD).await, 1.0);
    assert_eq!(relay.metric(r#"slipstream_republishes_total{peer="peer"}"#).await, 2.0);
    relay.metric_becomes(r#"slipstream_backlog{peer="peer"}"#, 0.0).await;
    peer.silent().await;
    sender.publish(event("next")).await;
    assert_eq!(peer.take().await.id(), "next", "a dead letter holds nothing up");
}

#[tokio::test]
async fn a_late_ack_ends_the_republishing() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &QUICK).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let mut peer = Peer::connect(&relay, "id=peer").await;
    sender.publish(event("m")).await;
    peer.message().await;
    peer.take().await;
    relay.metric_becomes(r#"slipstream_deliveries_total{outcome="acknowledged"}"#, 1.0).await;
    relay.metric_becomes(r#"slipstream_backlog{peer="peer"}"#, 0.0).await;
    assert_eq!(relay.metric(DEAD).await, 0.0);
}

#[tokio::test]
async fn being_away_spends_no_attempt() {
    let folder = tempfile::tempdir().expect("a folder");
    let flags = [&QUICK[..], &["--max-message-republish-attempts", "0"]].concat();
    let relay = Relay::start(folder.path(), &flags).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let mut away = Peer::connect(&relay, "id=away&tags=away").await;
    let mut there = Peer::connect(&relay, "id=there&tags=there").await;
    let targeted = |id: &str, tag: &str| json!({"type": "EVENT", "messageId": id, "targetedTags": [tag]});
    sender.publish(targeted("m", "away")).await;
    away.message().await;
    drop(away);
    relay.metric_becomes(r#"slipstream_inflight{peer="away"}"#, 0.0).await;
    // A peer that is there loses its delivery, so the timeout has passed for both.
    for id in ["x", "y"] {
        sender.publish(targeted(id, "there")).await;
        there.message().await;
        relay.metric_becomes("slipstream_dead_letters", if id == "x" { 1.0 } else { 2.0 }).await;
    }
    let mut away = Peer::connect(&relay, "id=away&tags=away").await;
    assert_eq!(away.take().await.id(), "m");
    relay.metric_becomes(r#"slipstream_backlog{peer="away"}"#, 0.0).await;
    assert_eq!(relay.metric(DEAD).await, 2.0);
}

#[tokio::test]
async fn attempts_are_remembered_across_a_crash() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut relay = Relay::start(folder.path(), &QUICK).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let mut peer = Peer::connect(&relay, "id=peer").await;
    sender.publish(event("m")).await;
    peer.message().await;
    peer.message().await;
    let republishes = r#"slipstream_republishes_total{peer="peer"}"#;
    support::eventually("a republish", || async { (relay.metric(republishes).await >= 1.0).then_some(()) }).await;
    // What was decided before this is committed with it.
    sender.publish(json!({"type": "EVENT", "messageId": "later", "targetedTags": ["nobody"]})).await;
    relay.process.kill().await;
    let relay = Relay::start(folder.path(), &QUICK).await;
    let mut peer = Peer::connect(&relay, "id=peer").await;
    assert_eq!(peer.message().await.id(), "m");
    relay.metric_becomes("slipstream_dead_letters", 1.0).await;
    assert!(relay.metric(republishes).await < 3.0, "one was spent before the crash");
}

#[tokio::test]
async fn a_nack_for_now_brings_it_again_before_anything_newer_and_spends_no_attempt() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--max-message-republish-attempts", "0"]).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let mut peer = Peer::connect(&relay, "id=peer").await;
    sender.publish(event("first")).await;
    for code in ["rate_limited", "storage_unavailable"] {
        assert_eq!(peer.message().await.id(), "first");
        peer.send(nack("first", code)).await;
        // The pong comes when the NACK before it was taken.
        peer.ping(code.as_bytes()).await;
        sender.publish(event(&format!("after-{code}"))).await;
    }
    assert_eq!(peer.take_ids(3).await, ["first", "after-rate_limited", "after-storage_unavailable"].map(str::to_owned));
    relay.metric_becomes(r#"slipstream_backlog{peer="peer"}"#, 0.0).await;
    assert_eq!(relay.metric(DEAD).await, 0.0);
}

/// More is in flight than the relay reads again at a time, and the peer refuses the first of it twice.
#[tokio::test]
async fn a_peer_that_refuses_much_for_now_gets_all_of_it_in_order() {
    const MESSAGES: u64 = 900;
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--ack-timeout", "10m"]).await;
    let mut peer = Peer::connect(&relay, "id=peer").await;
    let padding = "v".repeat(300);
    support::fill(&relay, MESSAGES, |number| {
        json!({"type": "EVENT", "messageId": support::bulk_id(number), "value": padding}).to_string()
    })
    .await;
    for number in 0..MESSAGES {
        assert_eq!(peer.message().await.id(), support::bulk_id(number));
    }
    for number in 0..MESSAGES {
        peer.send(nack(&support::bulk_id(number), "storage_unavailable")).await;
    }
    // The pings of the relay must not keep the test alive.
    support::within("everything to come again", async {
        assert_eq!(peer.message().await.id(), support::bulk_id(0));
        peer.send(nack(&support::bulk_id(0), "storage_unavailable")).await;
        for number in 0..MESSAGES {
            assert_eq!(peer.take().await.id(), support::bulk_id(number));
        }
    })
    .await;
    relay.metric_becomes(r#"slipstream_backlog{peer="peer"}"#, 0.0).await;
    assert_eq!(relay.metric(DEAD).await, 0.0);
}

#[tokio::test]
async fn any_other_nack_is_a_dead_letter_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let mut peer = Peer::connect(&relay, "id=peer").await;
    for (number, refusal) in
        [nack("m1", "invalid_message"), nack("m2", "of its own"), json!({"type": "NACK", "messageId": "m3"})]
            .into_iter()
            .enumerate()
    {
        sender.publish(event(refusal["messageId"].as_str().expect("an id"))).await;
        peer.message().await;
        peer.send(&refusal).await;
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        relay.metric_becomes("slipstream_dead_letters", (number + 1) as f64).await;
    }
    relay.metric_becomes(r#"slipstream_backlog{peer="peer"}"#, 0.0).await;
    peer.send(nack("m1", "invalid_message")).await;
    relay.metric_becomes("slipstream_stray_acks_total", 1.0).await;
}

#[tokio::test]
async fn an_acknowledged_value_supersedes_what_is_older_whoever_sent_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &QUICK).await;
    let mut one = Peer::connect(&relay, "id=one&clusterGroupId=g1").await;
    let mut other = Peer::connect(&relay, "id=other").await;
    let mut peer = Peer::connect(&relay, "id=peer&tags=peer").await;
    let to_peer = |mut message: serde_json::Value| {
        message["targetedTags"] = json!(["peer"]);
        message
    };
    one.publish(to_peer(value("old", "k"))).await;
    one.publish(to_peer(json!({"type": "SA", "key": "k", "value": [], "messageId": "old-array"}))).await;
    one.publish(to_peer(value("another", "other"))).await;
    one.publish(to_peer(json!({"type": "CMD", "key": "k", "messageId": "command"}))).await;
    other.publish(to_peer(value("new", "k"))).await;
    for _ in 0..4 {
        peer.message().await;
    }
    assert_eq!(peer.take().await.id(), "new");
    relay.metric_becomes(r#"slipstream_deliveries_total{outcome="superseded"}"#, 2.0).await;
    relay.metric_becomes(r#"slipstream_backlog{peer="peer"}"#, 2.0).await;
    let mut left = peer.take_ids(2).await;
    left.sort();
    assert_eq!(left, ["another", "command"], "only these come again");
    // What is acknowledged on a link that is lost may come again.
    relay.metric_becomes(r#"slipstream_backlog{peer="peer"}"#, 0.0).await;
    drop(peer);
    Peer::connect(&relay, "id=peer&tags=peer").await.silent().await;
}

#[tokio::test]
async fn what_expires_in_flight_is_dropped_and_not_sent_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let mut peer = Peer::connect(&relay, "id=peer").await;
    #[expect(clippy::disallowed_methods, reason = "the relay under test has the clock of the machine, too")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    let expiry = u64::try_from((now + Duration::from_secs(5)).as_millis()).expect("a number");
    sender.publish(json!({"type": "EVENT", "messageId": "m", "expiresAt": expiry})).await;
    peer.message().await;
    relay.metric_becomes(r#"slipstream_deliveries_total{outcome="expired"}"#, 1.0).await;
    relay.metric_becomes(r#"slipstream_inflight{peer="peer"}"#, 0.0).await;
    relay.metric_becomes(r#"slipstream_backlog{peer="peer"}"#, 0.0).await;
    drop(peer);
    Peer::connect(&relay, "id=peer").await.silent().await;
}

/// No value is acknowledged: whatever comes again is the newest of its key, and nothing older follows it.
#[tokio::test]
async fn only_the_newest_value_of_a_key_comes_again_on_a_link() {
    const KEYS: usize = 20;
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &QUICK).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let mut peer = Peer::connect(&relay, "id=peer").await;
    for version in 1..=3 {
        for key in 0..KEYS {
            sender.publish(value(&format!("{key}-{version}"), &format!("k{key}"))).await;
        }
    }
    let mut came: BTreeMap<String, Vec<String>> = BTreeMap::new();
    while came.len() < KEYS || came.values().any(|versions| versions.iter().filter(|it| *it == "3").count() < 2) {
        let message = peer.message().await;
        let (key, version) = message.id().split_once('-').expect("as it was sent");
        let versions = came.entry(key.to_owned()).or_default();
        versions.push(version.to_owned());
        assert!(versions.is_sorted(), "{key}: {versions:?}");
    }
    for key in 0..KEYS {
        peer.send(json!({"type": "ACK", "messageId": format!("{key}-3")})).await;
    }
    relay.metric_becomes(r#"slipstream_backlog{peer="peer"}"#, 0.0).await;
    assert_eq!(relay.metric(DEAD).await, 0.0);
}

#[tokio::test]
async fn a_value_refused_for_now_does_not_come_after_a_newer_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let mut peer = Peer::connect(&relay, "id=peer").await;
    for id in ["v1", "v2"] {
        sender.publish(value(id, "k")).await;
        peer.message().await;
    }
    peer.send(nack("v1", "rate_limited")).await;
    assert_eq!(peer.take().await.id(), "v2");
    relay.metric_becomes(r#"slipstream_backlog{peer="peer"}"#, 0.0).await;
    assert_eq!(relay.metric(r#"slipstream_deliveries_total{outcome="superseded"}"#).await, 1.0);
}

/// It takes far longer for its window than the ack timeout, and settles one delivery after the other in time.
#[tokio::test]
async fn a_slow_and_healthy_peer_gets_no_copy_and_loses_nothing() {
    const MESSAGES: u64 = 100;
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--ack-timeout", "4s", "--max-message-republish-attempts", "0"]).await;
    let mut peer = Peer::connect(&relay, "id=peer").await;
    let text = |number| json!({"type": "EVENT", "messageId": support::bulk_id(number)}).to_string();
    support::fill(&relay, MESSAGES, text).await;
    for number in 0..MESSAGES {
        let message = peer.message().await;
        assert_eq!(message.id(), support::bulk_id(number));
        // This is how long it takes for a message, not a wait for anything.
        tokio::time::sleep(Duration::from_millis(60)).await;
        peer.acknowledge(&message).await;
    }
    relay.metric_becomes(r#"slipstream_backlog{peer="peer"}"#, 0.0).await;
    assert_eq!(relay.metric(r#"slipstream_republishes_total{peer="peer"}"#).await, 0.0);
    assert_eq!(relay.metric(DEAD).await, 0.0);
}

#[tokio::test]
async fn a_late_ack_settles_a_dead_letter() {
    let folder = tempfile::tempdir().expect("a folder");
    let flags = [&QUICK[..], &["--max-message-republish-attempts", "0"]].concat();
    let relay = Relay::start(folder.path(), &flags).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let mut peer = Peer::connect(&relay, "id=peer").await;
    for id in ["handled", "later"] {
        sender.publish(event(id)).await;
        peer.message().await;
    }
    relay.metric_becomes("slipstream_dead_letters", 2.0).await;
    peer.send(json!({"type": "ACK", "messageId": "never-sent"})).await;
    peer.send(json!({"type": "ACK", "messageId": "handled"})).await;
    relay.metric_becomes("slipstream_dead_letters", 1.0).await;
    // It is not owed any more.
    relay.metric_becomes(r#"slipstream_backlog{peer="peer"}"#, 0.0).await;
    // Also on a later link.
    drop(peer);
    let mut peer = Peer::connect(&relay, "id=peer").await;
    peer.send(json!({"type": "ACK", "messageId": "later"})).await;
    relay.metric_becomes("slipstream_dead_letters", 0.0).await;
    assert_eq!(relay.metric(r#"slipstream_deliveries_total{outcome="acknowledged"}"#).await, 2.0);
}

#[tokio::test]
async fn bytes_in_flight_are_bounded() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--window-bytes", "250KiB"]).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let mut peer = Peer::connect(&relay, "id=peer").await;
    let padding = "v".repeat(100 << 10);
    for number in 0..6 {
        sender.publish(json!({"type": "EVENT", "messageId": format!("m{number}"), "value": padding})).await;
    }
    // More than the bound goes alone.
    sender.publish(json!({"type": "EVENT", "messageId": "large", "value": "v".repeat(600 << 10)})).await;
    let mut came = vec![peer.message().await, peer.message().await];
    peer.silent().await;
    assert_eq!(relay.metric(r#"slipstream_inflight{peer="peer"}"#).await, 2.0);
    let bytes = relay.metric(r#"slipstream_inflight_bytes{peer="peer"}"#).await;
    assert!((f64::from(200 << 10)..=f64::from(250 << 10)).contains(&bytes), "{bytes} bytes in flight");
    let mut taken = 0;
    while came.len() < 7 {
        peer.acknowledge(&came[taken]).await;
        taken += 1;
        if came.len() < 6 || taken == 6 {
            came.push(peer.message().await);
        }
        assert!(came.len() <= taken + 2);
    }
    assert_eq!(came[6].id(), "large");
    peer.acknowledge(&came[6]).await;
    relay.metric_becomes(r#"slipstream_backlog{peer="peer"}"#, 0.0).await;
}
