//! The rules of a message that show only over a link, or between relays: how deep it may be, whether it must have a
//! recipient, how long its path may grow, and how long the relay's answers may be.

#![cfg(test)]

mod support;

use serde_json::{Value, json};
use support::{Peer, Relay};

/// Says that a peer is a relay.
const AS_RELAY: [(&str, &str); 1] = [("Slipstream-Kind", "relay")];

/// A message of this many levels, itself counted.
fn deep(id: &str, levels: usize) -> String {
    let (open, close) = ("[".repeat(levels - 1), "]".repeat(levels - 1));
    format!(r#"{{"type":"SK","key":"k","value":{open}{close},"messageId":"{id}"}}"#)
}

/// Two relays, of which the first dials the second.
async fn chain(folder: &tempfile::TempDir, first: &[&str], second: &[&str]) -> [Relay; 2] {
    let to = Relay::start(&folder.path().join("b"), &[&["--instance-id=b"], second].concat()).await;
    let peers = format!("--url-config={}", json!([{"url": to.url(), "id": "b"}]));
    let from = Relay::start(&folder.path().join("a"), &[&["--instance-id=a", peers.as_str()], first].concat()).await;
    from.metric_becomes(r#"slipstream_active_connections{kind="relay"}"#, 1.0).await;
    [from, to]
}

#[tokio::test]
async fn a_message_that_is_too_deep_is_refused_by_its_id_and_the_link_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let mut receiver = Peer::connect(&relay, "id=receiver").await;
    for (sender, headers) in [("application", &[][..]), ("relay", &AS_RELAY)] {
        let mut sender_link = Peer::connect_with(&relay, &format!("id={sender}"), headers).await;
        for levels in [65, 66, 1_000, 250_000] {
            let id = format!("{sender}-{levels}");
            let nack = sender_link.rejected(deep(&id, levels)).await;
            assert_eq!((&nack["code"], &nack["messageId"]), (&json!("invalid_message"), &json!(id)));
            let reason = nack["reason"].as_str().expect("a reason");
            assert!(reason.starts_with("value: ") && reason.contains("at most 64 levels"), "{reason}");
        }
        let good = format!("{sender}-64");
        sender_link.publish(deep(&good, 64)).await;
        assert_eq!(receiver.take().await.id(), good, "nothing that was refused is delivered");
    }
}

#[tokio::test]
async fn a_relay_that_takes_less_depth_than_the_one_before_makes_a_dead_letter_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let [from, to] = chain(&folder, &["--max-depth=100"], &[]).await;
    let mut far = Peer::connect(&to, "id=far").await;
    let mut near = Peer::connect(&from, "id=near").await;
    assert_eq!(near.rejected(deep("m101", 101)).await["code"], "invalid_message");
    near.publish(deep("m100", 100)).await;
    from.metric_becomes("slipstream_dead_letters", 1.0).await;
    near.publish(deep("m64", 64)).await;
    assert_eq!(far.take().await.id(), "m64");
}

#[tokio::test]
async fn a_mandatory_message_that_no_peer_matches_is_refused_and_not_stored() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let message = |id: &str, field: &str, value: Value| {
        let mut message = json!({"type": "EVENT", "messageId": id, "mandatory": true});
        message[field] = value;
        message
    };
    for _ in 0..2 {
        let nack = sender.rejected(message("m1", "targetedTags", json!(["stock"]))).await;
        assert_eq!((&nack["code"], &nack["messageId"]), (&json!("unrouted"), &json!("m1")), "{nack}");
        assert!(nack["reason"].as_str().expect("a reason").starts_with("mandatory: "), "{nack}");
    }
    // Nor does one that is for the sender alone.
    assert_eq!(sender.rejected(message("m2", "targetedInstances", json!(["sender"]))).await["code"], "unrouted");
    assert_eq!(relay.metric(r#"slipstream_messages_rejected_total{code="unrouted"}"#).await, 3.0);
    assert_eq!(relay.metric("slipstream_messages_unrouted_total").await, 0.0);
    for mandatory in [json!(false), json!(null)] {
        sender.publish(json!({"type": "EVENT", "mandatory": mandatory, "targetedTags": ["stock"]})).await;
    }
    assert_eq!(relay.metric("slipstream_messages_unrouted_total").await, 2.0);

    // A peer that is away but remembered is a recipient.
    drop(Peer::connect(&relay, "id=shop&tags=stock").await);
    sender.publish(message("m1", "targetedTags", json!(["stock"]))).await;
    let mut shop = Peer::connect(&relay, "id=shop&tags=stock").await;
    let got = shop.take().await;
    assert_eq!((got.id(), got.raw("mandatory")), ("m1", "true".to_owned()));
}

#[tokio::test]
async fn a_mandatory_message_that_was_accepted_is_confirmed_again_when_nobody_is_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let guest = Peer::connect(&relay, "").await;
    let message = json!({"type": "EVENT", "messageId": "m", "value": 1, "mandatory": true});
    sender.publish(&message).await;
    // A client without an id is forgotten with its link.
    drop(guest);
    relay.metric_becomes(r#"slipstream_active_connections{kind="application"}"#, 1.0).await;
    // Its peer goes a moment after its link.
    support::within("nobody to be left", async {
        for number in 0.. {
            sender.send(json!({"type": "EVENT", "messageId": format!("more-{number}"), "mandatory": true})).await;
            if sender.answer().await["code"] == "unrouted" {
                break;
            }
        }
    })
    .await;
    sender.publish(&message).await;
    let conflict = json!({"type": "EVENT", "messageId": "m", "value": 2, "mandatory": true});
    assert_eq!(sender.rejected(conflict).await["code"], "identity_conflict");
}

#[tokio::test]
async fn a_mandatory_message_that_matches_nobody_behind_the_next_relay_is_a_dead_letter_here() {
    let folder = tempfile::tempdir().expect("a folder");
    let [from, to] = chain(&folder, &[], &[]).await;
    let mut near = Peer::connect(&from, "id=near").await;
    near.publish(json!({"type": "EVENT", "messageId": "m1", "mandatory": true, "targetedInstances": ["far"]})).await;
    from.metric_becomes("slipstream_dead_letters", 1.0).await;
    assert_eq!(to.metric(r#"slipstream_messages_rejected_total{code="unrouted"}"#).await, 1.0);
    let mut far = Peer::connect(&to, "id=far").await;
    near.publish(json!({"type": "EVENT", "messageId": "m2", "mandatory": true, "targetedInstances": ["far"]})).await;
    assert_eq!(far.take().await.id(), "m2");
}

#[tokio::test]
async fn the_longest_path_that_is_confirmed_reaches_the_applications_of_the_next_relay() {
    let folder = tempfile::tempdir().expect("a folder");
    let [from, to] = chain(&folder, &[], &[]).await;
    let mut far = Peer::connect(&to, "id=far").await;
    let mut near = Peer::connect(&from, "id=near").await;
    let message = |hops: usize| {
        let path: Vec<_> = (0..hops).map(|hop| format!("{hop:x<128}")).collect();
        json!({"type": "EVENT", "messageId": format!("m{hops}"), "messagePath": path})
    };
    for hops in [60, 61, 62] {
        near.publish(message(hops)).await;
        let got = far.take().await;
        let path = got.json["messagePath"].as_array().expect("a path");
        assert_eq!((got.id(), path.len()), (format!("m{hops}").as_str(), hops + 3));
        assert_eq!(path[hops..], ["near", "a", "b"]);
    }
    let nack = near.rejected(message(63)).await;
    assert_eq!(nack["reason"], "messagePath: expected at most 62 items, got more");
    assert_eq!(from.metric("slipstream_dead_letters").await, 0.0);
}

#[tokio::test]
async fn a_path_that_is_full_ends_as_a_dead_letter_and_applications_get_the_message_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let [from, to] = chain(&folder, &[], &[]).await;
    let mut before = Peer::connect_with(&from, "id=before", &AS_RELAY).await;
    let mut near = Peer::connect(&from, "id=near").await;
    let mut far = Peer::connect(&to, "id=far").await;
    let mut dead = 0.0;
    for (hops, goes_on) in [(62, true), (63, true), (64, false)] {
        let mut path = vec!["x"; hops - 1];
        path.push("before");
        before.publish(json!({"type": "EVENT", "messageId": format!("m{hops}"), "messagePath": path})).await;
        assert_eq!(near.take().await.json["messagePath"].as_array().map(Vec::len), Some(hops + 1));
        if goes_on {
            assert_eq!(far.take().await.json["messagePath"].as_array().map(Vec::len), Some(hops + 2));
        } else {
            dead += 1.0;
        }
        from.metric_becomes(r#"slipstream_backlog{peer="b"}"#, 0.0).await;
        assert_eq!(from.metric("slipstream_dead_letters").await, dead, "with {hops} hops");
    }
    let path = vec!["x"; 65];
    assert_eq!(before.rejected(json!({"type": "EVENT", "messagePath": path})).await["code"], "invalid_message");
}

#[tokio::test]
async fn answers_keep_to_the_limit_that_the_peer_announced() {
    const MESSAGES: usize = 400;
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    for limit in [300, 1_500, 5_000] {
        let announced = limit.to_string();
        let headers = [("Slipstream-Accept", "ack-batch"), ("Slipstream-Max-Message-Bytes", announced.as_str())];
        let mut sender = Peer::connect_with(&relay, &format!("id=sender-{limit}"), &headers).await;
        for number in 0..MESSAGES {
            // Short ids, and ids that are twice as long on the wire.
            let id = if number % 2 == 0 { format!("m{number}") } else { format!("{:\\<100}", format!("m{number}")) };
            sender
                .link
                .writer
                .text(&json!({"type": "EVENT", "messageId": id, "clusterGroupId": announced}).to_string());
        }
        sender.link.writer.flush().await.expect("the link is up");
        let (mut confirmed, mut longest) = (0, 0);
        while confirmed < MESSAGES {
            let answer = sender.answer().await;
            let length = answer.to_string().len();
            assert!(length <= limit, "{length} bytes, where {limit} are taken: {answer}");
            let ids = answer["messageIds"].as_array().map_or(1, Vec::len);
            (confirmed, longest) = (confirmed + ids, longest.max(ids));
        }
        assert!(limit < 5_000 || longest > 1, "answers are gathered where they fit");
        // A reason that does not fit is cut.
        let wrong = json!({"type": "EVENT", "messageId": "z".repeat(110), "inReplyTo": vec!["y".repeat(60); 3]});
        let nack = sender.rejected(wrong).await;
        assert!(nack.to_string().len() <= limit, "{nack}");
        assert!(nack["reason"].as_str().expect("a reason").starts_with("inReplyTo: expected"), "{nack}");
    }
}

#[tokio::test]
async fn an_ack_without_a_cluster_group_settles_what_was_sent_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let mut receiver = Peer::connect(&relay, "id=receiver").await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    for group in ["z", "a", "m"] {
        sender.publish(json!({"type": "EVENT", "messageId": "same", "clusterGroupId": group})).await;
    }
    for (group, left) in [("z", 2.0), ("a", 1.0)] {
        assert_eq!(receiver.message().await.string("clusterGroupId"), group);
        receiver.send(r#"{"type":"ACK","messageId":"same"}"#).await;
        relay.metric_becomes(r#"slipstream_backlog{peer="receiver"}"#, left).await;
    }
    drop(receiver);
    let mut receiver = Peer::connect(&relay, "id=receiver").await;
    assert_eq!(receiver.take().await.string("clusterGroupId"), "m", "the last one is still owed");
    receiver.silent().await;
}
