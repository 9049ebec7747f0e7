//! The line of a message, and the trace that it belongs to.

#![cfg(test)]

mod support;

use serde_json::json;
use support::{Peer, Relay, Signal, assert_has, eventually};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Waits for a line on stderr that has each of these parts.
async fn line(relay: &Relay, parts: &[&str]) -> String {
    let find = || async {
        relay.process.stderr().lines().find(|line| parts.iter().all(|part| line.contains(part))).map(str::to_owned)
    };
    eventually(&format!("a line with {parts:?}"), find).await
}

/// Waits for the line of a message.
async fn line_of(relay: &Relay, id: &str) -> String {
    line(relay, &["slipstream::message: accepted", &format!(" message_id={id} ")]).await
}

#[tokio::test]
async fn a_line_says_from_whom_a_message_is_and_names_the_first_recipients() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let publish = json!({"type": "SK", "key": "k", "value": "hush", "messageId": "nobody", "targetedTags": ["none"]});
    sender.publish(publish).await;
    let mut recipients = Vec::new();
    for number in 0..10 {
        recipients.push(Peer::connect(&relay, &format!("id=shop-{number}&tags=all")).await);
    }
    let publish = json!({"type": "SK", "key": "k", "value": "hush", "messageId": "all", "targetedTags": ["all"]});
    sender.publish(publish).await;
    let publish =
        json!({"type": "SK", "key": "k", "value": "hush", "messageId": "one", "targetedInstances": ["shop-3"]});
    sender.publish(publish).await;

    assert_has(&line_of(&relay, "nobody").await, [" from=sender to= recipients=0"]);
    assert_has(&line_of(&relay, "one").await, [" from=sender to=shop-3 recipients=1"]);
    let line = line_of(&relay, "all").await;
    let (_, named) = line.split_once(" to=").expect("recipients");
    let (named, others) = named.split_once(" and ").expect("more than are named");
    let named: Vec<_> = named.split(',').collect();
    assert!(named.len() == 8 && named.iter().all(|name| name.starts_with("shop-")), "{line}");
    assert!(others.starts_with("2 more recipients=10"), "{line}");
    assert!(!relay.process.stderr().contains("hush"));
}

#[tokio::test]
async fn each_message_that_was_confirmed_before_the_end_has_its_line_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut relay = Relay::start(folder.path(), &[]).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let expected: Vec<_> = (0..20).map(|number| format!("m-{number}")).collect();
    for id in &expected {
        sender.publish(json!({"type": "EVENT", "messageId": id})).await;
    }
    // No warning ends the waiting of the lines: no link is cut off.
    drop(sender);
    relay.process.signal(Signal::TERM);
    assert_eq!(relay.process.end().await.code(), Some(0));
    let text = relay.process.stderr();
    let ids: Vec<_> = text
        .lines()
        .filter(|line| line.contains("slipstream::message"))
        .filter_map(|line| line.split_once(" message_id=")?.1.split(' ').next())
        .collect();
    assert_eq!(ids, expected, "{text}");
}

#[tokio::test]
async fn a_traceparent_is_on_the_lines_of_every_relay_and_goes_on_byte_for_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    let far = Relay::start(&folder.path().join("far"), &["--instance-id=far"]).await;
    let peers = format!("--url-config={}", json!([{"url": far.url(), "id": "far"}]));
    let near = ["--instance-id=near", &peers];
    let near = Relay::start(&folder.path().join("near"), &near).await;
    near.metric_becomes(r#"slipstream_active_connections{kind="relay"}"#, 1.0).await;
    let mut sender = Peer::connect(&near, "id=sender").await;
    let mut receiver = Peer::connect(&far, "id=receiver").await;

    let valid = format!(r#""00-{TRACE}-00f067aa0ba902b7-01""#);
    for (id, json, is_traced) in [
        ("valid", valid.as_str(), true),
        ("unsampled", &valid.replace("-01\"", "-00\""), true),
        ("later", &valid.replace("\"00-", "\"42-").replace("-01\"", "-01-more\""), true),
        ("escaped", &valid.replace("-01\"", "-0\\u0031\""), true),
        ("upper", &valid.to_uppercase(), false),
        ("zero", &valid.replace(TRACE, &"0".repeat(32)), false),
        ("number", "17", false),
        ("null", "null", false),
        ("object", r#"{ "a" : [ 1.0 ] }"#, false),
    ] {
        let field = format!(r#""traceparent":{json}"#);
        let text = format!(r#"{{"type":"EVENT","x":1,{field},"messageId":"{id}","tracestate":"a=1, b=2"}}"#);
        sender.publish(text).await;
        let message = receiver.take().await;
        assert_eq!(message.id(), id);
        assert!(message.text.ends_with(&format!(r#","x":1,{field},"tracestate":"a=1, b=2"}}"#)), "{}", message.text);
        for relay in [&near, &far] {
            let line = line_of(relay, id).await;
            assert_eq!(line.contains(&format!(" trace_id={TRACE}")), is_traced, "{line}");
            assert_eq!(line.contains("trace_id"), is_traced, "{line}");
        }
    }

    let refused = format!(r#"{{"type":"EVENT","mandatory":true,"targetedTags":["none"],"traceparent":{valid}}}"#);
    assert_eq!(sender.rejected(refused).await["code"], "unrouted");
    line(&near, &["a message was refused", r#"code="unrouted""#, &format!("trace_id={TRACE}")]).await;
}
