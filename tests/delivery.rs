//! What a peer gets, when, and until when (PROTOCOL: "Delivery", "ACK", "Saying who you are").

#![cfg(test)]

mod support;

use serde_json::json;
use support::{Event, FIN, PING, Peer, Relay, event, within};

fn numbered(numbers: impl IntoIterator<Item = u32>) -> Vec<String> {
    numbers.into_iter().map(|number| format!("m{number}")).collect()
}

async fn publish(sender: &mut Peer, numbers: impl IntoIterator<Item = u32>) {
    for id in numbered(numbers) {
        sender.publish(json!({"type": "EVENT", "messageId": id})).await;
    }
}

#[tokio::test]
async fn an_absent_peer_gets_what_it_missed_in_order_before_anything_newer() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let mut other = Peer::connect(&relay, "id=other").await;
    drop(Peer::connect(&relay, "id=away").await);
    publish(&mut sender, 0..40).await;
    for number in 40..60 {
        other.publish(json!({"type": "EVENT", "messageId": format!("m{number}")})).await;
    }
    let mut away = Peer::connect(&relay, "id=away").await;
    publish(&mut sender, 60..70).await;
    assert_eq!(away.take_ids(70).await, numbered(0..70));
    let expected: Vec<String> = numbered((0..40).chain(60..70));
    assert_eq!(other.take_ids(50).await, expected);
    away.silent().await;
}

#[tokio::test]
async fn what_was_not_acknowledged_comes_again_on_the_next_link_and_what_was_does_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let mut peer = Peer::connect(&relay, "id=peer").await;
    publish(&mut sender, 0..6).await;
    let mut messages = Vec::new();
    for _ in 0..6 {
        messages.push(peer.message().await);
    }
    for acknowledged in [1, 4] {
        peer.acknowledge(&messages[acknowledged]).await;
    }
    relay.metric_becomes(r#"slipstream_backlog{peer="peer"}"#, 4.0).await;
    drop(peer);
    let mut peer = Peer::connect(&relay, "id=peer").await;
    let again = [peer.take().await, peer.take().await, peer.take().await, peer.take().await];
    for (message, first) in again.iter().zip([0, 2, 3, 5]) {
        assert_eq!(message.text, messages[first].text, "a message is the same each time");
    }
    peer.silent().await;
    relay.metric_becomes(r#"slipstream_backlog{peer="peer"}"#, 0.0).await;
}

#[tokio::test]
async fn a_debt_and_its_order_survive_a_crash_and_a_stop() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut relay = Relay::start(folder.path(), &[]).await;
    let mut peer = Peer::connect(&relay, "id=peer").await;
    publish(&mut Peer::connect(&relay, "id=sender").await, 0..5).await;
    assert_eq!(peer.message().await.id(), "m0");
    relay.process.kill().await;
    assert_eq!(peer.closed().await.0, 1006);

    let relay = Relay::start(folder.path(), &[]).await;
    publish(&mut Peer::connect(&relay, "id=sender").await, 5..10).await;
    assert!(relay.stop().await.success());

    let relay = Relay::start(folder.path(), &[]).await;
    let mut peer = Peer::connect(&relay, "id=peer").await;
    publish(&mut Peer::connect(&relay, "id=sender").await, 10..12).await;
    assert_eq!(peer.take_ids(12).await, numbered(0..12));
}

#[tokio::test]
async fn no_more_than_the_window_is_in_flight() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--window", "4"]).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let mut quick = Peer::connect(&relay, "id=quick").await;
    let mut holding = Peer::connect(&relay, "id=holding").await;
    publish(&mut sender, 0..12).await;
    assert_eq!(quick.take_ids(12).await, numbered(0..12));
    let mut held = Vec::new();
    for number in 0..4 {
        held.push(holding.message().await);
        assert_eq!(held[number].id(), format!("m{number}"));
    }
    holding.silent().await;
    assert!(relay.metric(r#"slipstream_inflight{peer="holding"}"#).await == 4.0);
    assert!(relay.metric(r#"slipstream_backlog{peer="holding"}"#).await == 12.0);
    // Each that is settled makes room for one, whichever it is.
    for (settled, next) in [(2, 4), (0, 5)] {
        holding.acknowledge(&held[settled]).await;
        held.push(holding.message().await);
        assert_eq!(held.last().expect("one came").id(), format!("m{next}"));
        holding.silent().await;
    }
    for settled in [1, 3, 4, 5] {
        holding.acknowledge(&held[settled]).await;
    }
    assert_eq!(holding.take_ids(6).await, numbered(6..12));
    relay.metric_becomes(r#"slipstream_backlog{peer="holding"}"#, 0.0).await;
}

#[tokio::test]
async fn one_ack_settles_many() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--window", "3"]).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let mut peer = Peer::connect(&relay, "id=peer").await;
    publish(&mut sender, 0..5).await;
    for _ in 0..3 {
        peer.message().await;
    }
    peer.send(json!({"type": "ACK", "messageIds": ["m0", "m1", "m2", "unknown"], "clusterGroupId": "singleton"})).await;
    assert_eq!(peer.message().await.id(), "m3");
    assert_eq!(peer.message().await.id(), "m4");
    peer.send(json!({"type": "ACK", "messageIds": ["m4", "m3"]})).await;
    relay.metric_becomes(r#"slipstream_backlog{peer="peer"}"#, 0.0).await;
}

#[tokio::test]
async fn an_ack_without_a_group_settles_what_was_sent_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let mut peer = Peer::connect(&relay, "id=peer").await;
    for group in ["g1", "g2"] {
        sender.publish(json!({"type": "EVENT", "messageId": "same", "clusterGroupId": group})).await;
    }
    assert_eq!(peer.message().await.string("clusterGroupId"), "g1");
    assert_eq!(peer.message().await.string("clusterGroupId"), "g2");
    peer.send(r#"{"type":"ACK","messageId":"same"}"#).await;
    relay.metric_becomes(r#"slipstream_backlog{peer="peer"}"#, 1.0).await;
    let mut peer = Peer::connect(&relay, "id=peer").await;
    assert_eq!(peer.take().await.string("clusterGroupId"), "g2");
    peer.silent().await;
}

/// Sends many messages at once; answers the frames of ACKs that came, each with its ids.
async fn confirms(relay: &Relay, query: &str, headers: &[(&str, &str)], count: usize) -> Vec<Vec<String>> {
    let mut sender = Peer::connect_with(relay, query, headers).await;
    for number in 0..count {
        sender.link.writer.text(&json!({"type": "EVENT", "messageId": format!("{query}-{number}")}).to_string());
    }
    sender.link.writer.flush().await.expect("the link is up");
    let (mut frames, mut confirmed) = (Vec::new(), 0);
    while confirmed < count {
        let ack = sender.answer().await;
        assert_eq!((&ack["type"], &ack["clusterGroupId"]), (&json!("ACK"), &json!("singleton")), "{ack}");
        let ids: Vec<String> = match ack["messageIds"].as_array() {
            Some(ids) => ids.iter().map(|id| id.as_str().expect("an id").to_owned()).collect(),
            None => vec![ack["messageId"].as_str().expect("an id").to_owned()],
        };
        confirmed += ids.len();
        frames.push(ids);
    }
    let mut all: Vec<String> = frames.concat();
    all.sort();
    let mut expected: Vec<String> = (0..count).map(|number| format!("{query}-{number}")).collect();
    expected.sort();
    assert_eq!(all, expected, "each message is confirmed once");
    frames
}

#[tokio::test]
async fn acks_are_batched_for_those_that_take_batches_and_for_nobody_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let batched = confirms(&relay, "id=batches", &[("Slipstream-Accept", "ack-batch")], 1000).await;
    assert!(batched.len() < 1000, "a thousand messages at once are not confirmed one by one");
    let single = confirms(&relay, "id=singles", &[], 1000).await;
    assert_eq!(single.len(), 1000);
}

#[tokio::test]
async fn a_second_link_takes_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let mut older = Peer::connect(&relay, "id=peer&tags=old").await;
    publish(&mut sender, 0..3).await;
    assert_eq!(older.take().await.id(), "m0");
    assert_eq!(older.message().await.id(), "m1");
    relay.metric_becomes(r#"slipstream_backlog{peer="peer"}"#, 2.0).await;
    let mut newer = Peer::connect(&relay, "id=peer&tags=new").await;
    assert_eq!(older.closed().await, (4000, "taken over".to_owned()));
    assert_eq!(newer.take_ids(2).await, numbered(1..3));
    sender.publish(r#"{"type":"EVENT","messageId":"old","targetedTags":["old"]}"#).await;
    sender.publish(r#"{"type":"EVENT","messageId":"new","targetedTags":["new"]}"#).await;
    assert_eq!(newer.take().await.id(), "new", "the newer link's tags count");
}

#[tokio::test]
async fn what_an_anonymous_peer_is_owed_dies_with_its_link() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let mut anonymous = Peer::connect(&relay, "").await;
    publish(&mut sender, 0..3).await;
    assert_eq!(anonymous.take().await.id(), "m0");
    assert_eq!(anonymous.message().await.id(), "m1");
    relay.metric_becomes(r#"slipstream_backlog{peer="anonymous"}"#, 2.0).await;
    let id = anonymous.id().to_owned();
    drop(anonymous);
    relay.metric_becomes(r#"slipstream_backlog{peer="anonymous"}"#, 0.0).await;
    publish(&mut sender, 3..4).await;
    // Whoever names that id later is owed nothing.
    let mut guess = Peer::connect(&relay, &format!("id={id}")).await;
    publish(&mut sender, 4..5).await;
    assert_eq!(guess.take().await.id(), "m4");
}

#[tokio::test]
async fn an_expired_message_is_not_delivered() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    drop(Peer::connect(&relay, "id=away").await);
    let mut sender = Peer::connect(&relay, "id=sender").await;
    sender.publish(r#"{"type":"EVENT","messageId":"past","expiresAt":1000000000000}"#).await;
    sender.publish(r#"{"type":"EVENT","messageId":"future","expiresAt":4102444800000}"#).await;
    let mut away = Peer::connect(&relay, "id=away").await;
    assert_eq!(away.take().await.id(), "future");
    relay.metric_becomes(r#"slipstream_backlog{peer="away"}"#, 0.0).await;
}

#[tokio::test]
async fn a_quiet_link_is_pinged_and_stays_while_it_answers() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--heartbeat", "100ms", "--idle-timeout", "2s"]).await;
    let mut answering = Peer::connect(&relay, "id=answering").await;
    let mut mute = Peer::connect(&relay, "id=mute").await;
    let ended = async {
        let mut pings = 0;
        loop {
            match event(&mut mute.link.reader).await {
                Event::Ping(_) => pings += 1,
                Event::Closed(..) => return pings,
                other => panic!("{other:?}"),
            }
        }
    };
    let answered = async {
        let mut pings = 0;
        // More than the idle timeout holds, so that only its answers keep it.
        while pings < 40 {
            match event(&mut answering.link.reader).await {
                Event::Ping(payload) => {
                    pings += 1;
                    answering.link.writer.frame(FIN | support::PONG, &payload);
                    answering.link.writer.flush().await.expect("the link is up");
                }
                other => panic!("{other:?} after {pings} pings"),
            }
        }
    };
    let (pings, ()) = within("pings", async { tokio::join!(ended, answered) }).await;
    assert!(pings > 0, "it was pinged before it was dropped");
    answering.publish(r#"{"type":"EVENT","messageId":"still-there"}"#).await;
}

#[tokio::test]
async fn a_ping_is_answered_with_its_payload_also_between_fragments() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let mut peer = Peer::connect(&relay, "id=a").await;
    peer.ping(b"").await;
    peer.ping(&[7; 125]).await;
    let writer = &mut peer.link.writer;
    writer.frame(support::TEXT, br#"{"type":"EVENT","messageId""#);
    writer.frame(FIN | PING, b"between");
    writer.frame(support::CONTINUE, b"");
    writer.frame(support::CONTINUE, br#":"in-"#);
    writer.flush().await.expect("the link is up");
    peer.ping(b"later").await;
    peer.link.writer.frame(FIN | support::CONTINUE, br#"parts"}"#);
    peer.link.writer.flush().await.expect("the link is up");
    assert_eq!(peer.answer().await["messageId"], "in-parts");
}
