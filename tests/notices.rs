//! What the relay says where something is lost or refused: a line on stderr, and a figure on the metrics page.

#![cfg(test)]

mod support;

use serde_json::json;
use support::{Peer, Proxy, Relay, Server, assert_has, eventually};

fn event(id: &str) -> serde_json::Value {
    json!({"type": "EVENT", "messageId": id})
}

/// The lines on stderr that have each of these parts.
fn lines(stderr: &str, parts: &[&str]) -> Vec<String> {
    stderr.lines().filter(|line| parts.iter().all(|part| line.contains(part))).map(str::to_owned).collect()
}

/// Waits for a line on stderr that has each of these parts.
async fn said(relay: &Relay, parts: &[&str]) -> String {
    eventually(&format!("a line with {parts:?}"), || async { lines(&relay.process.stderr(), parts).pop() }).await
}

/// Log lines of messages would push the others out of what is kept.
const QUIET: [&str; 1] = ["--enable-message-logs=false"];

#[tokio::test]
async fn a_peer_that_stays_away_is_forgotten_with_a_line_and_a_figure_of_what_it_was_owed() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--peer-ttl", "1s", QUIET[0]]).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    drop(Peer::connect(&relay, "id=away").await);
    for number in 0..3 {
        sender.publish(event(&format!("m{number}"))).await;
    }
    let line = said(&relay, &["forgotten", "peer=away"]).await;
    assert_has(&line, ["WARN", "owed=3"]);
    relay.metric_becomes(r#"slipstream_deliveries_total{outcome="forgotten"}"#, 3.0).await;
    assert_eq!(relay.metric("slipstream_peers_forgotten_total").await, 1.0);
    assert_eq!(relay.metric(r#"slipstream_deliveries_total{outcome="expired"}"#).await, 0.0);
    assert_eq!(relay.metric(r#"slipstream_backlog{peer="away"}"#).await, 0.0);
    assert!(relay.stop().await.success());
}

#[tokio::test]
async fn what_an_anonymous_peer_leaves_is_counted_too_also_where_a_crash_came_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut relay = Relay::start(folder.path(), &QUIET).await;
    let forgotten = r#"slipstream_deliveries_total{outcome="forgotten"}"#;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let mut passer_by = Peer::connect(&relay, "").await;
    for id in ["m1", "m2", "m3"] {
        sender.publish(event(id)).await;
    }
    assert_eq!(passer_by.take().await.id(), "m1");
    assert_eq!(passer_by.message().await.id(), "m2");
    drop(passer_by);
    relay.metric_becomes(forgotten, 2.0).await;
    assert_eq!(relay.metric("slipstream_peers_forgotten_total").await, 0.0, "nobody was to come back");
    let mut passer_by = Peer::connect(&relay, "").await;
    sender.publish(event("m4")).await;
    assert_eq!(passer_by.message().await.id(), "m4");
    relay.process.kill().await;

    let relay = Relay::start(folder.path(), &QUIET).await;
    relay.metric_becomes(forgotten, 1.0).await;
}

#[tokio::test]
async fn refused_messages_are_said_once_for_each_peer_and_code_and_then_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &QUIET).await;
    let mut one = Peer::connect(&relay, "id=one").await;
    let mut two = Peer::connect(&relay, "id=two").await;
    for number in 0..50 {
        one.rejected(json!({"type": "SA", "key": "k", "value": 1, "messageId": format!("m{number}")})).await;
        one.rejected("{").await;
    }
    two.rejected("{").await;
    let line = said(&relay, &["refused", "peer=one", r#"code="invalid_message""#]).await;
    assert_has(&line, ["WARN", r#"message_id="m0""#, "value"]);
    said(&relay, &["refused", "peer=one", r#"code="invalid_json""#]).await;
    said(&relay, &["refused", "peer=two", r#"code="invalid_json""#]).await;
    relay.process.signal(support::Signal::TERM);
    let mut relay = relay;
    assert!(relay.process.end().await.success());
    let stderr = relay.process.stderr();
    assert_eq!(lines(&stderr, &["a message was refused"]).len(), 3, "{stderr}");
    // What was left out is told at the end at the latest.
    let rest = lines(&stderr, &["left out of the log", "peer=one", "left_out=49"]);
    assert_eq!(rest.len(), 2, "{stderr}");
}

#[tokio::test]
async fn dead_letters_are_said_and_counted_by_the_class_of_their_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &QUIET).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let mut picky = Peer::connect_with(&relay, "id=picky", &[("Slipstream-Max-Message-Bytes", "400")]).await;
    for id in ["m1", "m2"] {
        sender.publish(event(id)).await;
        assert_eq!(picky.message().await.id(), id);
        picky.send(json!({"type": "NACK", "messageId": id, "code": "invalid_message", "reason": "no\nthanks"})).await;
    }
    sender.publish(json!({"type": "SK", "key": "k", "value": "v".repeat(400), "messageId": "m3"})).await;
    relay.metric_becomes(r#"slipstream_dead_letters_total{reason="rejected"}"#, 2.0).await;
    relay.metric_becomes(r#"slipstream_dead_letters_total{reason="too_large"}"#, 1.0).await;
    assert_eq!(relay.metric(r#"slipstream_deliveries_total{outcome="dead"}"#).await, 3.0);
    let line = said(&relay, &["dead letter", "peer=picky", "rejected"]).await;
    assert_has(&line, ["WARN", r#"reason="rejected: no\nthanks""#]);
    said(&relay, &["dead letter", "peer=picky", "too_large"]).await;
    assert_eq!(lines(&relay.process.stderr(), &["became a dead letter"]).len(), 2);
}

#[tokio::test]
async fn two_programs_with_one_id_are_counted_and_said_with_both_addresses() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &QUIET).await;
    // The pong tells that the link is the peer's: of two that ask at the same time either may be the newer one.
    let linked = async || {
        let mut peer = Peer::connect(&relay, "id=twin").await;
        peer.ping(b"linked").await;
        peer
    };
    let mut twins = vec![linked().await];
    for _ in 0..20 {
        let newer = linked().await;
        let mut older = twins.pop().expect("one was there");
        assert_eq!(older.closed().await.0, 4000);
        twins.push(newer);
    }
    relay.metric_becomes("slipstream_takeovers_total", 20.0).await;
    let line = said(&relay, &["throw each other out", "peer=twin"]).await;
    assert_has(&line, ["WARN", "newer=127.0.0.1:", "older=127.0.0.1:"]);
    let port = |end: &str| line.split(end).nth(1).and_then(|rest| rest.split([':', ' ']).nth(1)).map(str::to_owned);
    assert_ne!(port("newer="), port("older="), "{line}");
    assert_eq!(lines(&relay.process.stderr(), &["throw each other out"]).len(), 1);

    // A program that lost its link once is no such thing.
    drop(Peer::connect(&relay, "id=other").await);
    Peer::connect(&relay, "id=other").await;
    assert_eq!(lines(&relay.process.stderr(), &["throw each other out", "peer=other"]).len(), 0);
}

#[tokio::test]
async fn a_cloned_relay_is_said_too_where_one_of_the_two_is_dialled() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start().await;
    let peers = json!([{"url": server.url(), "id": "twin"}]).to_string();
    let flags = ["--instance-id=here", "--retry-in-n-seconds=100ms", "--url-config", &peers, QUIET[0]];
    let relay = Relay::start(folder.path(), &flags).await;
    let _dialled = server.granted(&[("Slipstream-Id", "twin"), ("Slipstream-Kind", "relay")]).await;
    said(&relay, &["link up", "peer=twin", &format!("remote={}", server.address)]).await;
    for _ in 0..4 {
        // The one that is dialled stays, since it was dialled by the smaller id.
        let mut clone = Peer::connect_with(&relay, "id=twin", &[("Slipstream-Kind", "relay")]).await;
        assert_eq!(clone.closed().await.0, 4000);
    }
    relay.metric_becomes("slipstream_takeovers_total", 4.0).await;
    let line = said(&relay, &["throw each other out", "peer=twin"]).await;
    assert_has(&line, ["newer=127.0.0.1:", &format!("older={}", server.address)]);
}

#[tokio::test]
async fn a_relay_whose_id_another_one_has_says_so_where_it_is_thrown_out() {
    let folders = [(); 3].map(|()| tempfile::tempdir().expect("a folder"));
    let hub = Relay::start(folders[0].path(), &["--instance-id=hub", QUIET[0]]).await;
    let peers = json!([{"url": hub.url(), "id": "hub"}]).to_string();
    let flags = ["--instance-id=twin", "--retry-in-n-seconds=10ms", "--url-config", &peers, QUIET[0]];
    let one = Relay::start(folders[1].path(), &flags).await;
    let _two = Relay::start(folders[2].path(), &flags).await;
    said(&hub, &["WARN", "throw each other out", "peer=twin"]).await;
    said(&one, &["WARN", "another program has this relay's id", "peer=hub"]).await;
}

#[tokio::test]
async fn a_way_back_to_itself_and_another_relay_with_its_id_count_as_dials_of_its_own_id() {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let way = Proxy::start(([127, 0, 0, 1], 1).into()).await;
    let peers = json!([{"url": way.url(), "id": "far"}]).to_string();
    let flags = ["--instance-id=here", "--retry-in-n-seconds=100ms", "--url-config", &peers, QUIET[0]];
    let relay = Relay::start(folders[0].path(), &flags).await;
    let errors = |reason: &str| format!(r#"slipstream_connection_errors_total{{reason="{reason}"}}"#);
    for leads_to in [Some(relay.links), None] {
        let other = match leads_to {
            Some(_) => None,
            None => Some(Relay::start(folders[1].path(), &["--instance-id=here"]).await),
        };
        way.lead_to(other.as_ref().map_or(relay.links, |other| other.links));
        let before = relay.metric(&errors("dial_own_id")).await;
        eventually("a dial of the own id", || async {
            (relay.metric(&errors("dial_own_id")).await > before).then_some(())
        })
        .await;
    }
    assert_eq!(relay.metric(&errors("dial_refused")).await, 0.0);
    said(&relay, &["ERROR", "peer=far", "this relay's own"]).await;
}

#[tokio::test]
async fn what_nobody_gets_is_said_the_first_time_for_each_sender_and_set_of_tags() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &QUIET).await;
    let mut one = Peer::connect(&relay, "id=one&tags=here").await;
    let mut two = Peer::connect(&relay, "id=two&tags=here").await;
    let to = |id: String, tags: &[&str]| json!({"type": "EVENT", "messageId": id, "targetedTags": tags});
    for number in 0..20 {
        one.publish(to(format!("a{number}"), &["nobody", "else"])).await;
        one.publish(to(format!("b{number}"), &["else", "nobody"])).await;
        one.publish(to(format!("c{number}"), &["gone"])).await;
        two.publish(to(format!("d{number}"), &["gone"])).await;
        one.publish(to(format!("e{number}"), &["here"])).await;
    }
    assert_eq!(relay.metric("slipstream_messages_unrouted_total").await, 80.0);
    for (peer, tags) in [("one", "else,nobody"), ("one", "gone"), ("two", "gone")] {
        said(&relay, &["WARN", "no peer matches", &format!("peer={peer} "), &format!("tags=\"{tags}\"")]).await;
    }
    assert_eq!(lines(&relay.process.stderr(), &["no peer matches"]).len(), 3);
}
