//! What an operator's tools read over HTTP (OPERATING: "HTTP on the metrics port", "Metrics").

#![cfg(test)]

mod support;

use serde_json::json;
use support::{Peer, Relay, assert_has, get};

#[tokio::test]
async fn health_and_readiness_tell_the_guarantee() {
    let folder = tempfile::tempdir().expect("a folder");
    for (durability, worth) in [("full", "power cut"), ("relaxed", "process")] {
        let relay = Relay::start(folder.path(), &["--durability", durability]).await;
        assert_eq!(get(relay.admin, "/healthz").await.status, 200);
        let ready = get(relay.admin, "/readyz").await;
        assert_eq!(ready.status, 200);
        assert_eq!(ready.header("content-type"), Some("application/json"));
        let ready = ready.json();
        assert_eq!((&ready["ready"], &ready["reasons"], &ready["store"]), (&json!(true), &json!([]), &json!("sqlite")));
        assert_has(ready["guarantee"].as_str().expect("a sentence"), [worth]);
        let degraded = ready["degraded"].to_string();
        assert_eq!(degraded.contains("durability relaxed"), durability == "relaxed", "{degraded}");
        assert_eq!(get(relay.admin, "/api/v1/status").await.json()["degraded"], ready["degraded"]);
        assert!(relay.stop().await.success());
    }
}

#[tokio::test]
async fn a_store_in_memory_degrades_the_guarantee() {
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    let relay = Relay::start(folder.path(), &[]).await;
    let ready = get(relay.admin, "/readyz").await;
    assert_eq!(ready.status, 200, "it takes messages all the same");
    assert_has(&ready.json()["degraded"].to_string(), ["tmpfs", "in memory", "SLIPSTREAM_STORAGE_PATH"]);
    relay.says("the store is on tmpfs").await;
    let admin = format!("http://{}", relay.admin);
    let (code, shown, _) = support::ran(&["status", "--admin", &admin], &[]).await;
    assert_eq!(code, Some(0));
    assert_has(&shown, ["  degraded    the store is on tmpfs"]);
}

#[tokio::test]
async fn an_error_is_json_with_the_fitting_status() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let missing = get(relay.admin, "/nothing").await;
    assert_eq!((missing.status, &missing.json()["error"]["code"]), (404, &json!("not_found")));
    assert_has(&missing.body, ["/nothing"]);
}

#[tokio::test]
async fn the_metrics_count_what_happened() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let mut receiver = Peer::connect(&relay, "id=receiver&tags=x").await;
    let mut far = Peer::connect_with(&relay, "id=far", &[("Slipstream-Kind", "relay")]).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    drop(Peer::connect(&relay, "id=away&tags=x").await);
    let message = json!({"type": "SK", "key": "k", "value": 1, "messageId": "m", "targetedTags": ["x"]});
    sender.publish(&message).await;
    sender.publish(&message).await;
    sender.rejected(json!({"type": "OTHER", "messageId": "m"})).await;
    sender.rejected("nonsense").await;
    sender.publish(json!({"type": "CUSTOM", "targetedTags": ["nobody"]})).await;
    far.publish(json!({"type": "GW", "key": "k", "targetedTags": ["x"], "messagePath": ["away", "origin"]})).await;
    receiver.take_ids(2).await;
    let by_type =
        |kind: &str, origin: &str| format!(r#"slipstream_messages_processed_total{{type="{kind}",origin="{origin}"}}"#);
    for (series, value) in [
        (r#"slipstream_active_connections{kind="application"}"#.to_owned(), 2.0),
        (r#"slipstream_active_connections{kind="relay"}"#.to_owned(), 1.0),
        (by_type("SK", "application"), 1.0),
        (by_type("custom", "application"), 1.0),
        (by_type("GW", "relay"), 1.0),
        (r#"slipstream_messages_rejected_total{code="identity_conflict"}"#.to_owned(), 1.0),
        (r#"slipstream_messages_rejected_total{code="invalid_json"}"#.to_owned(), 1.0),
        (r#"slipstream_messages_duplicate_total{by="identity"}"#.to_owned(), 1.0),
        ("slipstream_messages_unrouted_total".to_owned(), 1.0),
        (r#"slipstream_deliveries_total{outcome="acknowledged"}"#.to_owned(), 2.0),
        (r#"slipstream_backlog{peer="away"}"#.to_owned(), 1.0),
        (r#"slipstream_backlog{peer="receiver"}"#.to_owned(), 0.0),
        (r#"slipstream_inflight{peer="away"}"#.to_owned(), 0.0),
        ("slipstream_dead_letters".to_owned(), 0.0),
        ("slipstream_dedup_identities".to_owned(), 3.0),
        (r#"slipstream_message_latency_seconds_count{stage="delivery"}"#.to_owned(), 2.0),
    ] {
        relay.metric_becomes(&series, value).await;
    }
    let page = get(relay.admin, "/metrics").await;
    assert_has(page.header("content-type").expect("it has one"), ["text/plain", "version=0.0.4"]);
    assert_has(
        &page.body,
        [
            "# TYPE slipstream_commit_seconds histogram",
            "# TYPE slipstream_commit_operations histogram",
            "slipstream_message_latency_seconds_bucket{stage=\"commit\",le=",
            "slipstream_store_bytes ",
            "slipstream_build_info{version=\"",
            "store=\"sqlite\"",
            "process_resident_memory_bytes ",
            "process_cpu_seconds_total ",
        ],
    );
}

#[tokio::test]
async fn refused_links_are_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    Peer::refused(&relay, "/?id=", &[]).await;
    let mut peer = Peer::connect(&relay, "id=a").await;
    peer.link.writer.frame(support::FIN | support::BINARY, b"");
    peer.link.writer.flush().await.expect("the link is up");
    assert_eq!(peer.closed().await.0, 1003);
    support::eventually("both to be counted", || async {
        let page = get(relay.admin, "/metrics").await.body;
        let counts = page.lines().filter(|line| line.starts_with("slipstream_connection_errors_total{reason="));
        let total: f64 = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
        (total == 2.0).then_some(())
    })
    .await;
}
