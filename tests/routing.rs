//! What a message looks like on the way out, and who gets it (PROTOCOL: "The envelope", "What the relay does with a
//! message").

#![cfg(test)]

mod support;

use serde_json::{Value, json};
use support::{Peer, Relay};

/// A relay with the id `relay-aws`.
async fn relay(folder: &tempfile::TempDir) -> Relay {
    Relay::start(folder.path(), &["--instance-id", "relay-aws"]).await
}

fn is_ulid(text: &Value) -> bool {
    text.as_str().is_some_and(|text| text.len() == 26 && text.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Whether this is `EPOCH:N`.
fn is_stamp(text: &Value) -> bool {
    let parts = text.as_str().and_then(|text| text.split_once(':'));
    parts.is_some_and(|(epoch, count)| is_ulid(&json!(epoch)) && count.parse::<u64>().is_ok())
}

#[tokio::test]
async fn the_relay_adds_what_is_missing_and_answers_with_a_whole_ack() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = relay(&folder).await;
    let mut receiver = Peer::connect(&relay, "id=b").await;
    let mut sender = Peer::connect(&relay, "id=a&clusterGroupId=cluster-1").await;
    let ack = sender.publish(r#"{"type":"SK","key":"order:123","value":"{\"total\":100}"}"#).await;
    let id = ack["messageId"].clone();
    assert!(is_ulid(&id), "{ack}");
    assert_eq!(
        ack,
        json!({"type": "ACK", "messageId": id, "originInstanceId": "relay-aws", "sourceInstanceId": "relay-aws",
               "messagePath": ["relay-aws"], "clusterGroupId": "cluster-1"})
    );
    let message = receiver.take().await;
    assert!(is_stamp(&message.json["relayStamp"]), "{}", message.text);
    assert_eq!(
        message.json,
        json!({"type": "SK", "key": "order:123", "value": "{\"total\":100}", "messageId": id,
               "originInstanceId": "a", "sourceInstanceId": "a", "messagePath": ["a", "relay-aws"],
               "clusterGroupId": "cluster-1", "relayStamp": message.json["relayStamp"]})
    );
}

#[tokio::test]
async fn value_and_unknown_fields_pass_byte_for_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = relay(&folder).await;
    let mut receiver = Peer::connect(&relay, "id=b").await;
    let mut sender = Peer::connect(&relay, "id=a").await;
    let values = [
        r#"{ "b" : 1.50e+3 , "a":[ 1 ,2],"a":"twice", "é":"\u00e9\/", "big":123456789012345678901234567890.0 }"#,
        r#""\ud83d\ude00 😀 \u0000""#,
        "null",
        "-0.0",
        "[\t]",
        r#"{"type":"ACK","messageId":"inner"}"#,
    ];
    for (number, value) in values.iter().enumerate() {
        let unknown = r#"{ "x":[1,{"y" :null}], "n":1E+0300 }"#;
        sender
            .publish(format!(
                r#" {{ "unknown field\n" : {unknown}, "value":{value} ,"messageId":"m{number}", "inReplyTo":"q",
                "originInstanceId":"elsewhere", "sourceInstanceId":"liar", "expiresAt":4102444800000,
                "key":"k","type":"SK","messagePath":["elsewhere"], "relayStamp":"from an application: ignored" }} "#
            ))
            .await;
        let message = receiver.take().await;
        assert_eq!(message.raw("value"), *value);
        assert_eq!(message.raw("unknown field\n"), unknown);
        assert_eq!(message.raw("expiresAt"), "4102444800000");
        assert_eq!((message.string("inReplyTo"), message.string("originInstanceId")), ("q", "elsewhere"));
        assert_eq!(message.string("sourceInstanceId"), "a");
        assert_eq!(message.json["messagePath"], json!(["elsewhere", "a", "relay-aws"]));
        assert!(is_stamp(&message.json["relayStamp"]), "{}", message.text);
    }
}

/// Who of three peers gets each message; the fence after it goes to all, and shows that the others did not.
#[tokio::test]
async fn tags_and_instances_choose_who_gets_a_message() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = relay(&folder).await;
    let mut sender = Peer::connect(&relay, "id=sender&tags=aws").await;
    let mut aws = Peer::connect(&relay, "id=b&tags=aws,production").await;
    let mut azure = Peer::connect(&relay, "id=c&tags=azure").await;
    let mut untagged = Peer::connect(&relay, "id=d").await;
    let mut far = Peer::connect_with(&relay, "id=e&tags=azure", &[("Slipstream-Kind", "relay")]).await;
    let cases = [
        (json!({}), [true, true, true, true]),
        (json!({"targetedTags": []}), [true, true, true, true]),
        (json!({"targetedTags": null, "targetedInstances": null}), [true, true, true, true]),
        (json!({"targetedTags": ["aws"]}), [true, false, false, false]),
        (json!({"targetedTags": ["production", "azure"]}), [true, true, false, true]),
        (json!({"targetedTags": ["nobody"]}), [false, false, false, false]),
        (json!({"targetedInstances": ["c"]}), [false, true, false, true]),
        (json!({"targetedInstances": []}), [true, true, true, true]),
        (json!({"targetedInstances": ["d", "b"], "targetedTags": ["aws"]}), [true, false, false, false]),
        (json!({"targetedInstances": ["sender"]}), [false, false, false, true]),
        (json!({"messagePath": ["b", "e"]}), [false, true, true, false]),
    ];
    for (number, (fields, expected)) in cases.iter().enumerate() {
        let mut message = fields.clone();
        message["type"] = json!("EVENT");
        message["messageId"] = json!(format!("case-{number}"));
        sender.publish(&message).await;
        sender.publish(json!({"type": "EVENT", "messageId": format!("fence-{number}")})).await;
        for (peer, expected) in [&mut aws, &mut azure, &mut untagged, &mut far].into_iter().zip(expected) {
            if *expected {
                let got = peer.take().await;
                assert_eq!(got.id(), format!("case-{number}"), "{message} at {}", peer.id());
                for field in ["targetedTags", "targetedInstances"] {
                    let sent = &message[field];
                    assert!(got.json[field] == *sent || sent == &json!([]), "{field} of {} for {message}", got.text);
                }
            }
            assert_eq!(peer.take().await.id(), format!("fence-{number}"), "{message} at {}", peer.id());
        }
    }
    sender.silent().await;
}

#[tokio::test]
async fn a_request_finds_its_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = relay(&folder).await;
    let mut asking = Peer::connect(&relay, "id=asking").await;
    let mut answering = Peer::connect(&relay, "id=answering").await;
    let mut other = Peer::connect(&relay, "id=other").await;
    asking.publish(r#"{"type":"GK","key":"order:1","messageId":"q1"}"#).await;
    let request = answering.take().await;
    let answer = json!({"type": "SK", "key": "order:1", "value": 7, "inReplyTo": request.id(),
                        "targetedInstances": [request.string("originInstanceId")]});
    answering.publish(answer).await;
    let answer = asking.take().await;
    assert_eq!((answer.string("inReplyTo"), &answer.json["value"]), ("q1", &json!(7)));
    assert_eq!(other.take().await.id(), "q1");
    other.silent().await;
}

#[tokio::test]
async fn a_message_that_was_here_before_goes_no_further() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = relay(&folder).await;
    let mut receiver = Peer::connect(&relay, "id=b").await;
    let mut sender = Peer::connect(&relay, "id=a").await;
    sender.publish(r#"{"type":"EVENT","messageId":"loop","messagePath":["x","relay-aws","y"]}"#).await;
    sender.publish(r#"{"type":"EVENT","messageId":"fence"}"#).await;
    assert_eq!(receiver.take().await.id(), "fence");
    assert!(relay.metric("slipstream_messages_looped_total").await == 1.0);
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_with_its_field_and_the_link_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = relay(&folder).await;
    let mut receiver = Peer::connect(&relay, "id=b").await;
    let mut sender = Peer::connect(&relay, "id=a").await;
    for text in ["", "nonsense", "[]", "7", r#"{"type":"EVENT""#, r#"{"type":"EVENT"}{}"#, r#"{'type':'EVENT'}"#] {
        let nack = sender.rejected(text).await;
        assert_eq!((&nack["code"], &nack["messageId"]), (&json!("invalid_json"), &Value::Null), "{text}");
    }
    let path: Vec<String> = (0..63).map(|hop| hop.to_string()).collect();
    let cases = [
        (json!({}), "type"),
        (json!({"type": "event"}), "type"),
        (json!({"type": 7}), "type"),
        (json!({"type": "A".repeat(33)}), "type"),
        (json!({"type": "SK", "value": 1}), "key"),
        (json!({"type": "SK", "key": "", "value": 1}), "key"),
        (json!({"type": "CMD", "key": "k".repeat(1025)}), "key"),
        (json!({"type": "SK", "key": "k"}), "value"),
        (json!({"type": "SA", "key": "k", "value": {}}), "value"),
        (json!({"type": "SW", "key": "k", "value": 1}), "value"),
        (json!({"type": "EVENT", "messageId": ""}), "messageId"),
        (json!({"type": "EVENT", "messageId": "a b"}), "messageId"),
        (json!({"type": "EVENT", "messageId": "m".repeat(129)}), "messageId"),
        (json!({"type": "EVENT", "messagePath": path}), "messagePath"),
        (json!({"type": "EVENT", "messagePath": "a"}), "messagePath"),
        (json!({"type": "EVENT", "targetedTags": ["a b"]}), "targetedTags"),
        (json!({"type": "EVENT", "targetedTags": path.iter().chain(&path).collect::<Vec<_>>()}), "targetedTags"),
        (json!({"type": "EVENT", "targetedInstances": [7]}), "targetedInstances"),
        (json!({"type": "EVENT", "clusterGroupId": "é"}), "clusterGroupId"),
        (json!({"type": "EVENT", "originInstanceId": ""}), "originInstanceId"),
        (json!({"type": "EVENT", "expiresAt": "soon"}), "expiresAt"),
        (json!({"type": "EVENT", "inReplyTo": 1}), "inReplyTo"),
    ];
    for (message, field) in &cases {
        let nack = sender.rejected(message).await;
        assert_eq!(nack["code"], "invalid_message", "{message}: {nack}");
        assert!(nack["reason"].as_str().is_some_and(|reason| reason.contains(field)), "{message}: {nack}");
    }
    let nack = sender.rejected(r#"{"type":"SA","key":"k","value":1,"messageId":"m1","clusterGroupId":"g1"}"#).await;
    let (reason, id) = (nack["reason"].clone(), "m1");
    assert_eq!(
        nack,
        json!({"type": "NACK", "messageId": id, "code": "invalid_message", "reason": reason,
               "originInstanceId": "relay-aws", "clusterGroupId": "g1"})
    );
    let twice = sender.rejected(r#"{"type":"EVENT","key":"a","key":"a"}"#).await;
    assert_eq!(twice["code"], "invalid_message");
    sender.publish(r#"{"type":"EVENT","messageId":"fence"}"#).await;
    assert_eq!(receiver.take().await.id(), "fence");
}

#[tokio::test]
async fn an_ack_that_cannot_be_read_is_not_answered() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = relay(&folder).await;
    let mut peer = Peer::connect(&relay, "id=a").await;
    for text in [
        r#"{"type":"ACK"}"#,
        r#"{"type":"ACK","messageId":7}"#,
        r#"{"type":"ACK","messageId":"never sent","clusterGroupId":"singleton"}"#,
        r#"{"type":"ACK","messageIds":["never-sent"]}"#,
        r#"{"type":"NACK","messageId":"never-sent"}"#,
        r#"{"type":"NACK","code":[]}"#,
    ] {
        peer.send(text).await;
    }
    // The next answer is the one to the next message.
    assert_eq!(peer.publish(r#"{"type":"EVENT","messageId":"fence"}"#).await["messageId"], "fence");
}
