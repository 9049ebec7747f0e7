//! How the relay knows what it has seen (PROTOCOL: "What the relay does with a message", 2).

#![cfg(test)]

mod support;

use serde_json::json;
use support::{Peer, Relay};

const EPOCH: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
const RELAY: [(&str, &str); 1] = [("Slipstream-Kind", "relay")];

#[tokio::test]
async fn a_repeated_message_is_confirmed_and_not_delivered_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let mut receiver = Peer::connect(&relay, "id=receiver").await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let mut other = Peer::connect(&relay, "id=other").await;
    let message = r#"{"type":"SK","key":"k","value":[1, 2],"messageId":"m1"}"#;
    sender.publish(message).await;
    assert_eq!(sender.publish(message).await["messageId"], "m1");
    assert_eq!(receiver.take().await.id(), "m1");
    // Settled or not, and from whomever it comes.
    other.publish(message).await;
    // The same id in another cluster group is another message.
    sender.publish(r#"{"type":"SK","key":"k","value":[1, 2],"messageId":"m1","clusterGroupId":"g2"}"#).await;
    sender.publish(r#"{"type":"EVENT","messageId":"fence"}"#).await;
    let second = receiver.take().await;
    assert_eq!((second.id(), second.string("clusterGroupId")), ("m1", "g2"));
    assert_eq!(receiver.take().await.id(), "fence");
    assert!(relay.metric(r#"slipstream_messages_duplicate_total{by="identity"}"#).await == 2.0);
}

#[tokio::test]
async fn an_identity_that_comes_for_another_message_is_a_conflict_also_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let mut receiver = Peer::connect(&relay, "id=receiver").await;
    let first = r#"{"type":"SK","key":"k","value":[1, 2],"messageId":"m1","extra":1}"#;
    let others = [
        r#"{"type":"SA","key":"k","value":[1, 2],"messageId":"m1"}"#,
        r#"{"type":"SK","key":"K","value":[1, 2],"messageId":"m1"}"#,
        r#"{"type":"SK","key":"k","value":[1,2],"messageId":"m1"}"#,
    ];
    let mut sender = Peer::connect(&relay, "id=sender").await;
    sender.publish(first).await;
    assert_eq!(receiver.take().await.id(), "m1");
    for other in others {
        let nack = sender.rejected(other).await;
        assert_eq!((&nack["code"], &nack["messageId"]), (&json!("identity_conflict"), &json!("m1")), "{other}");
    }
    relay.metric_becomes(r#"slipstream_backlog{peer="receiver"}"#, 0.0).await;
    assert!(relay.stop().await.success());

    let mut relay = Relay::start(folder.path(), &[]).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    assert_eq!(sender.rejected(others[0]).await["code"], "identity_conflict");
    // Only type, key and value make a message another one.
    sender.publish(r#"{"type":"SK","key":"k","value":[1, 2],"messageId":"m1","extra":2}"#).await;
    relay.process.kill().await;

    let relay = Relay::start(folder.path(), &[]).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let mut receiver = Peer::connect(&relay, "id=receiver").await;
    sender.publish(first).await;
    sender.publish(r#"{"type":"EVENT","messageId":"fence"}"#).await;
    assert_eq!(receiver.take().await.id(), "fence");
}

#[tokio::test]
async fn past_the_dedup_window_an_identity_is_new() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--dedup-window", "1s"]).await;
    let mut receiver = Peer::connect(&relay, "id=receiver").await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let mut twice = async || {
        sender.publish(r#"{"type":"EVENT","messageId":"m1"}"#).await;
        (relay.metric(r#"slipstream_messages_processed_total{type="custom",origin="application"}"#).await == 2.0)
            .then_some(())
    };
    support::within("the end of the window", async {
        while twice().await.is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(receiver.take_ids(2).await, ["m1", "m1"]);
}

#[tokio::test]
async fn the_newest_identities_stay_where_there_are_too_many() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--dedup-max", "10"]).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    for number in 0..40 {
        sender.publish(json!({"type": "EVENT", "messageId": format!("m{number}")})).await;
    }
    relay.metric_becomes("slipstream_dedup_identities", 10.0).await;
    let mut receiver = Peer::connect(&relay, "id=receiver").await;
    for number in (30..40).chain([0]) {
        sender.publish(json!({"type": "EVENT", "messageId": format!("m{number}")})).await;
    }
    assert_eq!(receiver.take().await.id(), "m0");
}

#[tokio::test]
async fn a_stamp_from_a_relay_passes_and_is_taken_once_also_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut relay = Relay::start(folder.path(), &[]).await;
    let mut receiver = Peer::connect(&relay, "id=receiver").await;
    let stamped =
        |id: &str, count: u32| json!({"type": "EVENT", "messageId": id, "relayStamp": format!("{EPOCH}:{count}")});
    let mut far = Peer::connect_with(&relay, "id=far", &RELAY).await;
    far.publish(stamped("m0", 0)).await;
    far.publish(stamped("m5000", 5000)).await;
    // A stamp that was seen makes a duplicate, whatever the message's id.
    assert_eq!(far.publish(stamped("other", 0)).await["messageId"], "other");
    let first = receiver.take().await;
    assert_eq!((first.id(), first.string("relayStamp")), ("m0", format!("{EPOCH}:0").as_str()));
    assert_eq!(receiver.take().await.id(), "m5000");
    relay.metric_becomes(r#"slipstream_backlog{peer="receiver"}"#, 0.0).await;
    relay.process.kill().await;

    let relay = Relay::start(folder.path(), &[]).await;
    let mut far = Peer::connect_with(&relay, "id=far", &RELAY).await;
    far.publish(stamped("again", 5000)).await;
    // One from elsewhere with the same stamp is the same message, which took another way.
    let mut farther = Peer::connect_with(&relay, "id=farther", &RELAY).await;
    farther.publish(stamped("another", 0)).await;
    farther.publish(stamped("m1", 1)).await;
    let mut receiver = Peer::connect(&relay, "id=receiver").await;
    assert_eq!(receiver.take().await.id(), "m1");
    assert!(relay.metric(r#"slipstream_messages_duplicate_total{by="stamp"}"#).await == 2.0);
}

#[tokio::test]
async fn the_stamp_of_an_application_is_ignored() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let mut receiver = Peer::connect(&relay, "id=receiver").await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    for id in ["m1", "m2"] {
        sender.publish(json!({"type": "EVENT", "messageId": id, "relayStamp": format!("{EPOCH}:7")})).await;
    }
    let (first, second) = (receiver.take().await, receiver.take().await);
    assert_eq!((first.id(), second.id()), ("m1", "m2"));
    assert_ne!(first.string("relayStamp"), second.string("relayStamp"));
    assert!(!first.text.contains(EPOCH), "{}", first.text);
}

#[tokio::test]
async fn a_relay_may_bring_longer_messages_and_a_path() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--instance-id", "here", "--max-message-bytes", "64KiB"]).await;
    let mut receiver = Peer::connect(&relay, "id=receiver").await;
    let mut far = Peer::connect_with(&relay, "id=far&tags=x", &RELAY).await;
    let value = "v".repeat(100 * 1024);
    let message = json!({"type": "SK", "key": "k", "value": value, "messageId": "long", "messagePath": ["origin", "far"],
                         "originInstanceId": "origin", "relayStamp": format!("{EPOCH}:3")});
    far.publish(&message).await;
    let got = receiver.take().await;
    assert_eq!(got.json["value"], message["value"]);
    assert_eq!(got.json["messagePath"], json!(["origin", "far", "here"]), "the sender is on the path once");
    assert_eq!((got.string("originInstanceId"), got.string("sourceInstanceId")), ("origin", "far"));
    let mut application = Peer::connect(&relay, "id=application").await;
    application.send(&message).await;
    assert_eq!(application.closed().await.0, 1009);
}

#[tokio::test]
async fn what_comes_by_a_second_way_counts_by_its_stamp() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let message = json!({"type": "EVENT", "messageId": "m1", "relayStamp": format!("{EPOCH}:0")});
    for way in ["id=one-way", "id=another-way"] {
        Peer::connect_with(&relay, way, &RELAY).await.publish(&message).await;
    }
    let duplicates = |by: &str| format!(r#"slipstream_messages_duplicate_total{{by="{by}"}}"#);
    assert_eq!(relay.metric(&duplicates("stamp")).await, 1.0);
    // What an application sends again is known by its identity.
    let mut sender = Peer::connect(&relay, "id=sender").await;
    for _ in 0..2 {
        sender.publish(json!({"type": "EVENT", "messageId": "m2"})).await;
    }
    assert_eq!((relay.metric(&duplicates("stamp")).await, relay.metric(&duplicates("identity")).await), (1.0, 1.0));
}
