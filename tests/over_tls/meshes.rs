//! Relays that dial each other over TLS.

use std::fs;

use serde_json::json;

use super::links::{errors, send};
use crate::support::{Files, Process, Proxy, Relay, assert_has, each};

/// A relay that dials another with these fields.
async fn dialling(files: &Files, store: &str, to: &Relay, fields: serde_json::Value) -> Relay {
    let mut peer = json!({"url": to.wss(), "id": "far"});
    peer.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
    let peers = json!([peer]).to_string();
    let folder = files.path(store);
    std::fs::create_dir_all(&folder).expect("a folder");
    Relay::start(&folder, &["--instance-id", store, "--url-config", &peers, "--retry-in-n-seconds", "100ms"]).await
}

async fn linked(relay: &Relay) {
    relay.metric_becomes("slipstream_active_connections{kind=\"relay\"}", 1.0).await;
}

#[tokio::test]
async fn a_message_crosses_a_mesh_with_mutual_tls() {
    let files = Files::usual();
    let far = Relay::start(&files.path("far"), &each(&files.mutual("relay"))).await;
    let own =
        json!({"ca": files.text("ca.pem"), "cert": files.read("machine-7.pem"), "key": files.text("machine-7.key")});
    let near = dialling(&files, "near", &far, own).await;
    linked(&near).await;
    let to = far.wss();
    let mut listener = Process::spawn(
        [&["listen", "--to", &to, "--id", "app-far", "--count", "1"][..], &each(&files.client(Some("machine-7")))]
            .concat(),
        &[],
    );
    far.metric_becomes("slipstream_active_connections{kind=\"application\"}", 1.0).await;
    let (code, told) = send(&format!("ws://{}/", near.links), "app-near", &[]).await;
    assert_eq!(code, 0, "{told}");
    assert!(listener.end().await.success(), "{}", listener.stderr());
    assert_eq!(near.metric("slipstream_tls_unverified_peers").await, 0.0);
    assert!(near.metric("slipstream_tls_certificate_expiry_seconds{use=\"dial\"}").await > 86_400.0);
}

#[tokio::test]
async fn a_relay_without_a_certificate_is_told_that_one_is_required_and_never_says_that_it_is_linked() {
    let files = Files::usual();
    let far = Relay::start(&files.path("far"), &each(&files.mutual("relay"))).await;
    let near = dialling(&files, "near", &far, json!({"ca": files.text("ca.pem")})).await;
    near.says("the peer requires a client certificate").await;
    assert_eq!(near.metric("slipstream_active_connections{kind=\"relay\"}").await, 0.0);
    assert_eq!(far.metric("slipstream_active_connections{kind=\"relay\"}").await, 0.0);
}

#[tokio::test]
async fn a_dial_that_fails_for_another_reason_than_before_is_a_warning_again() {
    let files = Files::usual();
    files.authority("other");
    let far = Relay::start(&files.path("far"), &each(&files.mutual("relay"))).await;
    let way = Proxy::start(far.links).await;
    way.cut();
    fs::copy(files.path("other.pem"), files.path("trusted.pem")).expect("copied");
    let peer = json!({"url": format!("wss://{}/", way.address), "id": "far", "ca": files.text("trusted.pem")});
    let peers = json!([peer]).to_string();
    let patient = ["--retry-in-n-seconds", "100ms", "--connection-retry-attempts", "1000", "--url-config", &peers];
    let near = Relay::start(&files.path("near"), &patient).await;
    near.says("the far end hung up in the handshake of TLS").await;
    near.metric_becomes_at_least(&errors("dial_unreachable"), 2.0).await;
    way.mend();
    near.says("no authority that is trusted here has issued it").await;
    near.metric_becomes_at_least(&errors("dial_tls"), 2.0).await;
    fs::copy(files.path("ca.pem"), files.path("trusted.pem")).expect("copied");
    near.says("the peer requires a client certificate").await;
    let untrusted = near.metric(&errors("dial_tls")).await;
    near.metric_becomes_at_least(&errors("dial_tls"), untrusted + 1.0).await;
    let told = near.process.stderr();
    let warnings = |part: &str| {
        let failed = told.lines().filter(|line| line.contains("WARN") && line.contains("a dial failed"));
        failed.filter(|line| line.contains(part)).count()
    };
    assert_eq!(["hung up in the handshake", "no authority that is trusted"].map(warnings), [1, 1], "{told}");
    assert!(warnings("requires a client certificate") > 0, "{told}");
}

#[tokio::test]
async fn an_unverified_peer_is_warned_of_and_counted() {
    let files = Files::usual();
    let far = Relay::start(&files.path("far"), &each(&files.listener("relay"))).await;
    let near = dialling(&files, "near", &far, json!({"rejectUnauthorized": false})).await;
    linked(&near).await;
    near.says("rejectUnauthorized is false for far").await;
    assert_eq!(near.metric("slipstream_tls_unverified_peers").await, 1.0);
    let trusting = dialling(&files, "trusting", &far, json!({})).await;
    trusting.says("no authority that is trusted here has issued it").await;
}

#[tokio::test]
async fn a_key_is_in_no_output() {
    let files = Files::usual();
    let key = files.read("machine-7.key");
    let secret = key.lines().nth(1).expect("the first line of base64");
    let peers = json!([{"url": "wss://127.0.0.1:1/", "cert": files.read("machine-7.pem"), "key": key}]).to_string();
    let relay = Relay::start(&files.path("near"), &["--url-config", &peers, "--enable-debug-logs"]).await;
    relay.says("a dial failed").await;
    let mut shown = Process::spawn(["config", "show", "--json", "--url-config", &peers], &[]);
    assert!(shown.end().await.success());
    let all = [relay.process.stderr(), relay.process.stdout(), shown.stdout(), shown.stderr()].concat();
    assert_has(&all, ["127.0.0.1"]);
    assert!(!all.contains(secret), "{all}");
}
