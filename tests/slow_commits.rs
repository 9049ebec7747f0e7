//! No commit succeeds, since another program holds the database: readiness says so while it lasts.
#![cfg(test)]
#![cfg(feature = "sqlite")]

mod support;

use serde_json::json;
use support::{Holder, Peer, Relay, assert_has, eventually, get};

#[tokio::test]
async fn a_relay_whose_commits_do_not_end_is_not_ready_and_alive() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--store", "sqlite"]).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let other = Holder::of(&folder.path().join("store/slipstream.db"));
    sender.send(json!({"type": "EVENT", "messageId": "m1"}).to_string()).await;
    let ready = eventually("the relay not to be ready", async || {
        Some(get(relay.admin, "/readyz").await).filter(|ready| ready.status == 503)
    })
    .await;
    assert_has(&ready.body, ["store failing"]);
    assert_eq!(get(relay.admin, "/healthz").await.status, 200);
    drop(other);
    // However that ended.
    sender.answer().await;
    sender.publish(json!({"type": "EVENT"})).await;
    eventually("the relay to be ready", async || (get(relay.admin, "/readyz").await.status == 200).then_some(())).await;
    assert!(relay.stop().await.success());
}
