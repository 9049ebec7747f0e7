//! The commands that look at messages on their way: `top`, `monitor`, and `trace --follow` across relays.

#![cfg(test)]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use support::{Peer, Process, Relay, eventually, get, ran};
use tokio_util::task::AbortOnDropHandle;

fn records(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

/// A value and a command, again and again while this is not dropped.
fn traffic(mut shop: Peer) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        for number in 0_u64.. {
            for (r#type, key) in [("SK", "price"), ("CMD", "reboot")] {
                let id = format!("{type}-{number}");
                shop.publish(json!({"type": r#type, "key": key, "value": "secret", "messageId": id})).await;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }))
}

#[tokio::test]
async fn monitor_shows_what_passes_and_is_no_peer() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let admin = format!("http://{}", relay.admin);
    let _app = Peer::connect(&relay, "id=app&tags=eu").await;
    let mut all = Process::spawn(["monitor", "--admin", &admin], &[]);
    let mut some =
        Process::spawn(["monitor", "--peer=app", "--type=CMD", "--count=1", "--json", "--admin", &admin], &[]);
    // What passes before somebody watches is not shown, so it passes until both do.
    let _traffic = traffic(Peer::connect(&relay, "id=shop").await);
    let seen = eventually("both to watch", async || {
        let shown = all.stdout();
        (shown.lines().count() > 1 && !some.stdout().is_empty()).then_some(shown)
    })
    .await;
    assert!(some.end().await.success());
    let command = &records(&some.stdout())[0];
    let told =
        [&command["type"], &command["key"], &command["from"], &command["recipients"], &command["recipientCount"]];
    assert_eq!(told, [&json!("CMD"), &json!("reboot"), &json!("shop"), &json!(["app"]), &json!(1)]);
    assert!(seen.lines().any(|line| line.contains("  SK price  shop > app  SK-")), "{seen}");
    assert!(!seen.contains("secret"), "{seen}");
    let peers = get(relay.admin, "/api/v1/peers").await.json();
    assert_eq!(peers["items"].as_array().expect("items").len(), 2, "{peers}");
    all.signal(support::Signal::TERM);
    all.end().await;
    let (code, _, said) = ran(&["monitor", "--peer=no peer", "--admin", &admin], &[]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no peer"), "what is wrong is named: {said}");
}

#[tokio::test]
async fn top_shows_rates() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let admin = format!("http://{}", relay.admin);
    let _app = Peer::connect(&relay, "id=app").await;
    let _traffic = traffic(Peer::connect(&relay, "id=shop").await);
    let mut top = Process::spawn(["top", "--interval=1", "--by=backlog", "--json", "--admin", &admin], &[]);
    let rates = eventually("a rate", async || {
        records(&top.stdout()).pop().filter(|rates| rates["peers"][1]["sendsPerSecond"].as_f64() > Some(0.0))
    })
    .await;
    assert_eq!((&rates["peers"][0]["id"], &rates["peers"][1]["id"]), (&json!("app"), &json!("shop")));
    assert!(rates["peers"][0]["backlogPerSecond"].as_f64() > Some(0.0), "{rates}");
    assert!(rates["peers"][1]["sendsPerSecond"].as_f64() > Some(0.0), "{rates}");
    top.signal(support::Signal::TERM);
    top.end().await;
    let (code, shown, said) = ran(&["top", "--interval=1", "--count=1", "--admin", &admin], &[]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(shown.contains("received/s") && shown.contains("SENDS/S"), "{shown}");
}

/// Three in a row: a message goes from `aws` to `azure` and on to `gcp`, whose application is away.
#[tokio::test]
async fn trace_follows_a_message_across_relays() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut relays: BTreeMap<&str, Relay> = BTreeMap::new();
    for (id, to) in [("gcp", None), ("azure", Some("gcp")), ("aws", Some("azure"))] {
        let id_flag = format!("--instance-id={id}");
        let dials = to.map(|to| format!("--url-config={}", json!([{"url": relays[to].url(), "id": to}])));
        let flags: Vec<&str> = [id_flag.as_str()].into_iter().chain(dials.as_deref()).collect();
        let home = folder.path().join(id);
        std::fs::create_dir(&home).expect("a folder");
        relays.insert(id, Relay::start(&home, &flags).await);
    }
    for (relay, peer) in [("aws", "azure"), ("azure", "gcp")] {
        let path = format!("/api/v1/peers/{peer}");
        let is_up = || async { (get(relays[relay].admin, &path).await.json()["link"] == "up").then_some(()) };
        eventually("the links", is_up).await;
    }
    let mut mill = Peer::connect(&relays["gcp"], "id=mill").await;
    let mut shop = Peer::connect(&relays["aws"], "id=shop").await;
    shop.publish(json!({"type": "SK", "key": "k", "value": 1, "messageId": "the-one"})).await;
    let message = mill.message().await;

    let url = |id: &str| format!("{id}=http://{}", relays[id].admin);
    let admin = format!("http://{}", relays["aws"].admin);
    let known = [url("azure"), url("gcp")].join(",");
    let environment = [("SLIPSTREAM_ADMIN_URL", admin.as_str()), ("SLIPSTREAM_ADMIN_URLS", &known)];
    let tree = async || {
        let (code, shown, said) = ran(&["trace", "the-one", "--follow"], &environment).await;
        assert_eq!(code, Some(0), "{said}");
        shown
    };
    eventually("the way to the application", async || {
        let shown = tree().await;
        let lines = ["aws  received", "└─ azure  acknowledged", "   └─ gcp  acknowledged", "      └─ mill  in_flight"];
        lines.iter().all(|line| shown.lines().any(|shown| shown.starts_with(line))).then_some(())
    })
    .await;
    mill.acknowledge(&message).await;
    eventually("the end of the way", async || {
        tree().await.lines().any(|line| line.starts_with("      └─ mill  acknowledged")).then_some(())
    })
    .await;

    // One that does not answer is told in its place.
    let azure = url("azure");
    relays.remove("gcp").expect("it runs").stop().await;
    let (code, shown, said) = ran(
        &["trace", "the-one", "--follow", "--json", "--relay", &azure, "--relay=gcp=http://127.0.0.1:9"],
        &environment,
    )
    .await;
    assert_eq!(code, Some(0), "{said}");
    let whole = &records(&shown)[0];
    assert_eq!(whole["next"][0]["relay"], "azure");
    let error = whole["next"][0]["next"][0]["error"].as_str().expect("why");
    assert!(error.contains("127.0.0.1:9"), "{error}");
    let (code, _, said) = ran(&["trace", "the-one", "--follow", "--relay=azure"], &environment).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--relay: expected ID=URL"), "{said}");
}
