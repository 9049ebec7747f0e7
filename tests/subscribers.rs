//! Applications that are configured: messages are held for them before they ever link.

#![cfg(test)]

mod support;

use serde_json::json;
use support::{Peer, Process, Proxy, Relay, assert_has};

fn to(id: &str, tags: &[&str]) -> serde_json::Value {
    json!({"type": "SK", "key": "k", "value": id, "messageId": id, "targetedTags": tags})
}

fn backlog(peer: &str) -> String {
    format!(r#"slipstream_backlog{{peer="{peer}"}}"#)
}

#[tokio::test]
async fn messages_are_held_for_a_subscriber_from_the_start_and_for_as_long_as_it_is_configured() {
    let folder = tempfile::tempdir().expect("a folder");
    let declared =
        r#"[{"id":"shop","tags":["aws"],"clusterGroupId":"g1"},{"id":"newest","tags":["aws"],"coalesce":true}]"#;
    let flags = ["--peer-ttl", "100ms", "--subscribers", declared];
    let relay = Relay::start(folder.path(), &flags).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    sender.publish(to("m1", &["aws"])).await;
    // One that is not configured is forgotten meanwhile.
    drop(Peer::connect(&relay, "id=passer-by&tags=aws").await);
    relay.metric_becomes("slipstream_peers_forgotten_total", 1.0).await;
    assert_eq!((relay.metric(&backlog("shop")).await, relay.metric(&backlog("newest")).await), (1.0, 1.0));
    sender.publish(to("m2", &["aws"])).await;
    assert!(relay.stop().await.success());

    let relay = Relay::start(folder.path(), &flags).await;
    let mut newest = Peer::connect(&relay, "id=newest").await;
    assert_eq!(newest.take().await.id(), "m2", "it coalesces");
    // What it names itself counts less than what is configured.
    let mut shop = Peer::connect(&relay, "id=shop&tags=other&clusterGroupId=g2").await;
    assert_eq!(shop.take_ids(2).await, ["m1", "m2"]);
    let mut sender = Peer::connect(&relay, "id=sender").await;
    sender.publish(to("m3", &["other"])).await;
    sender.publish(to("m4", &["aws"])).await;
    assert_eq!((shop.take().await.id(), newest.take().await.id()), ("m4", "m4"));
    assert_eq!(shop.publish(json!({"type": "EVENT"})).await["clusterGroupId"], "g1");
    drop((shop, newest));
    assert!(relay.stop().await.success());

    // Taken out of the configuration it is a peer like any other.
    let relay = Relay::start(folder.path(), &flags[..2]).await;
    relay.metric_becomes("slipstream_peers_forgotten_total", 3.0).await;
}

#[tokio::test]
async fn the_environment_declares_them_and_config_shows_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("slipstream.toml");
    std::fs::write(&file, "[[subscriber]]\nid = \"of-the-file\"\n").expect("written");
    let file = file.to_str().expect("UTF-8");
    let declared = [("SLIPSTREAM_SUBSCRIBERS", r#"[{"id":"shop","tags":["a","b"]},{"id":"other","coalesce":true}]"#)];
    let mut show = Process::spawn(["config", "show", "--config", file], &declared);
    assert!(show.end().await.success(), "{}", show.stderr());
    assert_has(&show.stdout(), ["2 subscribers", "subscriber shop, tags a b", "subscriber other, coalesce"]);
    let mut show = Process::spawn(["config", "show", "--json", "--config", file], &[]);
    assert!(show.end().await.success(), "{}", show.stderr());
    let shown: serde_json::Value = serde_json::from_str(&show.stdout()).expect("JSON");
    let alone = json!([{"id": "of-the-file", "tags": null, "clusterGroupId": null, "coalesce": false}]);
    assert_eq!(shown["subscribers"], alone);
    let peers = r#"[{"url":"ws://127.0.0.1:1","id":"of-the-file"}]"#;
    let mut check = Process::spawn(["config", "check", "--config", file, "--url-config", peers], &[]);
    assert_eq!(check.end().await.code(), Some(2));
    assert_has(&check.stderr(), ["of-the-file", "SLIPSTREAM_SUBSCRIBERS", "URL_CONFIG"]);
}

/// The procedure of docs/mesh.md, "Replacing a relay".
#[tokio::test]
async fn a_relay_that_was_lost_is_replaced_without_losing_what_is_owed_to_it() {
    let folders = [(); 3].map(|()| tempfile::tempdir().expect("a folder"));
    let way = Proxy::start(([127, 0, 0, 1], 1).into()).await;
    let peers = json!([{"url": way.url(), "id": "relay-azure", "tags": ["azure"]}]).to_string();
    let near = Relay::start(
        folders[0].path(),
        &["--instance-id=relay-aws", "--retry-in-n-seconds=100ms", "--url-config", &peers],
    )
    .await;
    let identity = ["--instance-id=relay-azure", "--tags=azure"];
    let lost = Relay::start(folders[1].path(), &identity).await;
    way.lead_to(lost.links);
    let mut shop = Peer::connect(&lost, "id=shop-azure&tags=azure").await;
    let mut sender = Peer::connect(&near, "id=sender").await;
    sender.publish(to("m0", &["azure"])).await;
    assert_eq!(shop.take().await.id(), "m0");
    near.metric_becomes(&backlog("relay-azure"), 0.0).await;
    drop(shop);
    // Its machine is gone, with its disk.
    let mut lost = lost;
    lost.process.kill().await;
    for number in 1..=50 {
        sender.publish(to(&format!("m{number}"), &["azure"])).await;
    }
    near.metric_becomes(&backlog("relay-azure"), 50.0).await;

    let declared = r#"[{"id":"shop-azure","tags":["azure"]}]"#;
    let new = Relay::start(folders[2].path(), &[identity[0], identity[1], "--subscribers", declared]).await;
    way.lead_to(new.links);
    near.metric_becomes(&backlog("relay-azure"), 0.0).await;
    new.metric_becomes(&backlog("shop-azure"), 50.0).await;
    assert_eq!(new.metric("slipstream_messages_unrouted_total").await, 0.0);
    let mut shop = Peer::connect(&new, "id=shop-azure&tags=azure").await;
    let wanted: Vec<_> = (1..=50).map(|number| format!("m{number}")).collect();
    assert_eq!(shop.take_ids(50).await, wanted);
    new.metric_becomes(&backlog("shop-azure"), 0.0).await;
}
