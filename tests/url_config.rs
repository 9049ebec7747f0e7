//! The program with peers to dial: what the operator configures is what happens (OPERATING: "URL_CONFIG").

#![cfg(test)]

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use support::{Peer, Relay, Server, get};

fn value(id: &str, key: &str) -> serde_json::Value {
    json!({"type": "SK", "key": key, "value": id, "messageId": id})
}

/// The entries as they stand in `URL_CONFIG`.
fn url_config(entries: &serde_json::Value) -> String {
    STANDARD.encode(entries.to_string())
}

#[tokio::test]
async fn a_coalescing_server_gets_after_an_absence_only_the_newest_value_of_each_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start().await;
    let peers = json!([{"url": server.url(), "id": "cache", "coalesce": true, "token": "s3cret"}]);
    let relay = Relay::start(folder.path(), &["--url-config", &url_config(&peers)]).await;
    let refused = server.dialled().await;
    assert_eq!(refused.header("authorization"), Some("Bearer s3cret"));
    refused.answer("HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n").await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    for number in 0..500 {
        sender.link.writer.text(&value(&format!("even-{number}"), "even").to_string());
        sender.link.writer.text(&value(&format!("odd-{number}"), "odd").to_string());
    }
    sender.link.writer.text(&json!({"type": "EVENT", "messageId": "event"}).to_string());
    sender.link.writer.flush().await.expect("the link is up");
    for _ in 0..1_001 {
        assert_eq!(sender.answer().await["type"], "ACK");
    }
    let mut link = server.granted(&[]).await;
    for id in ["even-499", "odd-499", "event"] {
        assert_eq!(link.take().await.id(), id);
    }
    relay.metric_becomes(r#"slipstream_deliveries_total{outcome="superseded"}"#, 998.0).await;
    relay.metric_becomes(r#"slipstream_backlog{peer="cache"}"#, 0.0).await;
    // What comes while it is there is not coalesced.
    for id in ["even-500", "even-501"] {
        sender.publish(value(id, "even")).await;
        assert_eq!(link.take().await.id(), id);
    }
    assert!(!relay.process.stderr().contains("s3cret") && !relay.process.stdout().contains("s3cret"));
}

#[tokio::test]
async fn an_open_circuit_is_shown_and_leaves_the_relay_ready() {
    let folder = tempfile::tempdir().expect("a folder");
    let peers = json!([{"url": "ws://127.0.0.1:1/", "id": "nobody"}]).to_string();
    let flags = ["--url-config", &peers, "--connection-retry-attempts", "2", "--retry-in-n-seconds", "50ms"];
    let relay = Relay::start(folder.path(), &flags).await;
    relay.metric_becomes(r#"slipstream_circuit_open{peer="nobody"}"#, 1.0).await;
    let ready = get(relay.admin, "/readyz").await;
    assert_eq!((ready.status, &ready.json()["openCircuits"]), (200, &json!(["nobody"])), "{}", ready.body);
    assert!(relay.metric(r#"slipstream_connection_errors_total{reason="dial_unreachable"}"#).await >= 2.0);
    // What nobody takes is held all the same.
    Peer::connect(&relay, "id=sender").await.publish(value("m", "k")).await;
    assert_eq!(relay.metric(r#"slipstream_backlog{peer="nobody"}"#).await, 1.0);
    assert!(relay.process.stderr().contains("the circuit is open"), "{}", relay.process.stderr());
}

#[tokio::test]
async fn a_relay_that_is_told_rate_limited_pauses_and_loses_nothing() {
    let folders = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
    let far = Relay::start(folders[0].path(), &["--instance-id", "far", "--rate-limit", "50"]).await;
    let mut receiver = Peer::connect(&far, "id=receiver").await;
    let peers = json!([{"url": far.url(), "id": "far"}]).to_string();
    let near = Relay::start(folders[1].path(), &["--instance-id", "near", "--url-config", &peers]).await;
    let mut sender = Peer::connect(&near, "id=sender").await;
    let ids: Vec<_> = (0..150).map(|number| format!("m{number}")).collect();
    for id in &ids {
        sender.link.writer.text(&json!({"type": "EVENT", "messageId": id}).to_string());
    }
    sender.link.writer.flush().await.expect("the link is up");
    let mut taken = receiver.take_ids(150).await;
    near.metric_becomes(r#"slipstream_backlog{peer="far"}"#, 0.0).await;
    assert!(far.metric(r#"slipstream_messages_rejected_total{code="rate_limited"}"#).await > 0.0);
    assert_eq!(near.metric("slipstream_dead_letters").await, 0.0);
    receiver.silent().await;
    taken.sort();
    let mut all = ids;
    all.sort();
    assert_eq!(taken, all, "each came once");
}
