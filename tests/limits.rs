//! The limits that an operator sets: on backlogs, on rates, on the disk.

#![cfg(test)]

mod support;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use std::time::Instant;

use serde_json::json;
use support::{Peer, Proxy, Relay, Server, get, upgrade, within};

/// Where nobody listens.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

fn event(id: &str) -> serde_json::Value {
    json!({"type": "EVENT", "messageId": id})
}

/// A relay with these flags, a sender, and a peer named `away` that is remembered and has no link.
async fn with_an_absent_peer(folder: &tempfile::TempDir, flags: &[&str]) -> (Relay, Peer) {
    let relay = Relay::start(folder.path(), flags).await;
    drop(Peer::connect(&relay, "id=away").await);
    let sender = Peer::connect(&relay, "id=sender").await;
    (relay, sender)
}

/// A message of so many bytes with a long path.
fn of_size(id: &str, bytes: usize) -> String {
    let path: Vec<_> = (0..60).map(|hop| format!("{hop}{}", "i".repeat(126))).collect();
    let text = |value: &str| json!({"type": "EVENT", "messageId": id, "messagePath": path, "value": value}).to_string();
    text(&"v".repeat(bytes - text("").len()))
}

#[tokio::test]
async fn the_largest_message_never_outgrows_a_mebibyte_on_its_way() {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let far = Relay::start(folders[1].path(), &[&format!("--instance-id={}", "f".repeat(128))]).await;
    let peers = json!([{"url": far.url()}]).to_string();
    let near =
        Relay::start(folders[0].path(), &[&format!("--instance-id={}", "n".repeat(128)), "--url-config", &peers]).await;
    let mut receivers = [Peer::connect(&near, "id=receiver").await, Peer::connect(&far, "id=receiver").await];
    near.metric_becomes(r#"slipstream_active_connections{kind="relay"}"#, 1.0).await;
    let mut sender = Peer::connect(&near, &format!("id={}", "s".repeat(128))).await;
    sender.publish(of_size("largest", 983_040)).await;
    for receiver in &mut receivers {
        let message = receiver.take().await;
        assert_eq!(message.id(), "largest");
        assert!((983_041..=1 << 20).contains(&message.text.len()), "{} bytes", message.text.len());
    }
    sender.send(of_size("larger", 983_041)).await;
    assert_eq!(sender.closed().await.0, 1009);
    near.metric_becomes(r#"slipstream_connection_errors_total{reason="too_large"}"#, 1.0).await;
}

#[tokio::test]
async fn a_dialled_application_may_send_no_larger_message_than_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start().await;
    let peers = json!([{"url": server.url(), "id": "app"}]).to_string();
    let _relay = Relay::start(folder.path(), &["--url-config", &peers]).await;
    let mut link = server.granted(&[]).await;
    link.send(of_size("largest", 983_040)).await;
    assert_eq!(link.answer().await["messageId"], "largest");
    link.send(of_size("larger", 983_041)).await;
    assert_eq!(link.closed().await.0, 1009);
}

#[tokio::test]
async fn a_full_backlog_rejects_until_the_peer_has_taken_something() {
    let folder = tempfile::tempdir().expect("a folder");
    let (relay, mut sender) = with_an_absent_peer(&folder, &["--max-backlog", "3"]).await;
    for id in ["m1", "m2", "m3"] {
        sender.publish(event(id)).await;
    }
    let nack = sender.rejected(event("m4")).await;
    assert_eq!(nack["code"], "backlog_full");
    assert!(nack["reason"].as_str().expect("a reason").contains("away"), "{nack}");
    assert_eq!(relay.metric(r#"slipstream_messages_rejected_total{code="backlog_full"}"#).await, 1.0);
    // Another tag matches nobody whose backlog is full.
    sender.publish(json!({"type": "EVENT", "messageId": "elsewhere", "targetedTags": ["nobody"]})).await;
    let mut away = Peer::connect(&relay, "id=away").await;
    assert_eq!(away.take_ids(3).await, ["m1", "m2", "m3"].map(str::to_owned));
    relay.metric_becomes(r#"slipstream_backlog{peer="away"}"#, 0.0).await;
    sender.publish(event("m4")).await;
    assert_eq!(away.take().await.id(), "m4", "what was refused was not stored");
}

#[tokio::test]
async fn what_was_taken_is_confirmed_again_while_the_backlog_is_full() {
    let folder = tempfile::tempdir().expect("a folder");
    let (relay, mut sender) = with_an_absent_peer(&folder, &["--max-backlog", "1"]).await;
    sender.publish(event("m1")).await;
    sender.publish(event("m1")).await;
    let other = sender.rejected(json!({"type": "EVENT", "messageId": "m1", "value": "another"})).await;
    assert_eq!(other["code"], "identity_conflict");
    for _ in 0..2 {
        // What is refused is not remembered.
        assert_eq!(sender.rejected(event("m2")).await["code"], "backlog_full");
    }
    assert_eq!(relay.metric(r#"slipstream_messages_duplicate_total{by="identity"}"#).await, 1.0);
    assert_eq!(relay.metric(r#"slipstream_messages_rejected_total{code="backlog_full"}"#).await, 2.0);
    let mut away = Peer::connect(&relay, "id=away").await;
    assert_eq!(away.take().await.id(), "m1");
    relay.metric_becomes(r#"slipstream_backlog{peer="away"}"#, 0.0).await;
    sender.publish(event("m2")).await;
    assert_eq!(away.take().await.id(), "m2");
    away.silent().await;
}

#[tokio::test]
async fn a_backlog_limit_is_exact_while_many_messages_are_under_way() {
    let folder = tempfile::tempdir().expect("a folder");
    let (relay, mut sender) = with_an_absent_peer(&folder, &["--max-backlog", "100"]).await;
    for number in 0..1_000 {
        sender.link.writer.text(&event(&format!("m{number}")).to_string());
    }
    sender.link.writer.flush().await.expect("the link is up");
    let mut confirmed = 0;
    for _ in 0..1_000 {
        confirmed += u32::from(sender.answer().await["type"] == "ACK");
    }
    assert_eq!(confirmed, 100);
    assert_eq!(relay.metric(r#"slipstream_backlog{peer="away"}"#).await, 100.0);
}

/// Three relays that dial each other. Each fills its backlogs while it is alone; then all of them run.
#[tokio::test]
async fn relays_with_full_backlogs_take_from_each_other_and_refuse_only_applications() {
    const LIMIT: usize = 5;
    let folders = [(); 3].map(|()| tempfile::tempdir().expect("a folder"));
    let mut ways = Vec::new();
    for _ in &folders {
        ways.push(Proxy::start(NOWHERE).await);
    }
    let flags = |index: usize| {
        let others = ways.iter().enumerate().filter(|(other, _)| *other != index);
        let peers: Vec<_> =
            others.map(|(other, way)| json!({"url": way.url(), "id": format!("relay-{other}")})).collect();
        let (id, peers) = (format!("--instance-id=relay-{index}"), format!("--url-config={}", json!(peers)));
        [id, peers, format!("--max-backlog={LIMIT}"), "--retry-in-n-seconds=100ms".to_owned()]
    };
    let start = async |index: usize| {
        let flags = flags(index);
        Relay::start(folders[index].path(), &flags.each_ref().map(String::as_str)).await
    };
    for index in 0..folders.len() {
        let relay = start(index).await;
        let mut application = Peer::connect(&relay, &format!("id=app-{index}")).await;
        for number in 0..LIMIT {
            application.publish(event(&format!("m{number}-of-{index}"))).await;
        }
        let nack = application.rejected(event("one-too-many")).await;
        assert_eq!(nack["code"], "backlog_full");
        relay.stop().await;
    }
    let mut relays = Vec::new();
    for (index, way) in ways.iter().enumerate() {
        let relay = start(index).await;
        way.lead_to(relay.links);
        relays.push(relay);
    }
    for (index, relay) in relays.iter().enumerate() {
        let mut application = Peer::connect(relay, &format!("id=app-{index}")).await;
        // Pings come also where nothing else does.
        let mut taken = within("what the others sent", application.take_ids(2 * LIMIT)).await;
        taken.sort();
        let others = (0..relays.len()).filter(|other| *other != index);
        let mut all: Vec<_> = others.flat_map(|from| (0..LIMIT).map(move |it| format!("m{it}-of-{from}"))).collect();
        all.sort();
        assert_eq!(taken, all, "at app-{index}");
        for other in (0..relays.len()).filter(|other| *other != index) {
            relay.metric_becomes(&format!(r#"slipstream_backlog{{peer="relay-{other}"}}"#), 0.0).await;
        }
    }
}

#[tokio::test]
async fn the_oldest_deliveries_give_way_where_the_policy_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let flags = ["--max-backlog", "10", "--backlog-policy", "drop-oldest"];
    let (relay, mut sender) = with_an_absent_peer(&folder, &flags).await;
    for number in 0..2_000 {
        sender.link.writer.text(&event(&format!("m{number}")).to_string());
    }
    sender.link.writer.flush().await.expect("the link is up");
    for _ in 0..2_000 {
        assert_eq!(sender.answer().await["type"], "ACK");
    }
    relay.metric_becomes("slipstream_dead_letters", 1_990.0).await;
    relay.metric_becomes(r#"slipstream_backlog{peer="away"}"#, 10.0).await;
    let mut away = Peer::connect(&relay, "id=away").await;
    let newest: Vec<_> = (1_990..2_000).map(|number| format!("m{number}")).collect();
    assert_eq!(away.take_ids(10).await, newest);
    away.silent().await;
}

#[tokio::test]
async fn a_lowered_limit_holds_from_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let (relay, mut sender) = with_an_absent_peer(&folder, &[]).await;
    for number in 0..20 {
        sender.publish(event(&format!("m{number}"))).await;
    }
    relay.stop().await;
    let relay = Relay::start(folder.path(), &["--max-backlog", "5", "--backlog-policy", "drop-oldest"]).await;
    relay.metric_becomes("slipstream_dead_letters", 15.0).await;
    relay.metric_becomes(r#"slipstream_backlog{peer="away"}"#, 5.0).await;
}

#[tokio::test]
async fn a_peer_that_sends_too_fast_is_told_and_others_are_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--rate-limit", "5"]).await;
    let mut fast = Peer::connect(&relay, "id=fast").await;
    let mut slow = Peer::connect(&relay, "id=slow").await;
    for number in 0..1_000 {
        fast.link.writer.text(&event(&format!("m{number}")).to_string());
    }
    fast.link.writer.flush().await.expect("the link is up");
    let mut refused = Vec::new();
    for _ in 0..1_000 {
        let answer = fast.answer().await;
        if answer["type"] == "NACK" {
            assert_eq!(answer["code"], "rate_limited");
            refused.push(answer["messageId"].as_str().expect("an id").to_owned());
        }
    }
    assert!(!refused.is_empty() && refused.len() <= 995, "{} are refused", refused.len());
    let counted = relay.metric(r#"slipstream_messages_rejected_total{code="rate_limited"}"#).await;
    assert_eq!(counted, f64::from(u32::try_from(refused.len()).expect("few")));
    slow.publish(event("slow")).await;
    // Later it is taken.
    loop {
        fast.send(event(&refused[0])).await;
        if fast.answer().await["type"] == "ACK" {
            break;
        }
    }
}

#[tokio::test]
async fn a_rate_is_a_peers_on_whatever_links() {
    const RATE: u32 = 10;
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--rate-limit", &RATE.to_string()]).await;
    let began = Instant::now();
    let mut taken = 0;
    for link in 0..20 {
        let mut fast = Peer::connect(&relay, "id=fast").await;
        for number in 0..RATE {
            fast.link.writer.text(&event(&format!("m{number}-on-{link}")).to_string());
        }
        fast.link.writer.flush().await.expect("the link is up");
        for _ in 0..RATE {
            taken += u32::from(fast.answer().await["type"] == "ACK");
        }
    }
    let may_be = f64::from(RATE) * (began.elapsed().as_secs_f64() + 1.0);
    assert!(taken >= RATE && f64::from(taken) <= may_be, "{taken} were taken, {may_be} may be");
}

#[tokio::test]
async fn what_came_back_is_confirmed_however_fast_it_comes() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--rate-limit", "1", "--instance-id", "here"]).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    for number in 0..5 {
        sender
            .publish(json!({"type": "EVENT", "messageId": format!("m{number}"), "messagePath": ["here", "far"]}))
            .await;
    }
    assert_eq!(relay.metric("slipstream_messages_looped_total").await, 5.0);
}

#[tokio::test]
async fn a_low_disk_confirms_what_was_taken_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let stamped = |id: &str, number: u64| json!({"type": "EVENT", "messageId": id, "relayStamp": format!("01ARZ3NDEKTSV4RRFFQ69G5FAV:{number}")});
    let far = async |relay: &Relay| Peer::connect_with(relay, "id=far", &[("Slipstream-Kind", "relay")]).await;
    let (relay, mut sender) = with_an_absent_peer(&folder, &["--instance-id", "here"]).await;
    sender.publish(event("before")).await;
    far(&relay).await.publish(stamped("stamped", 0)).await;
    relay.stop().await;

    let relay = Relay::start(folder.path(), &["--instance-id", "here", "--min-free-disk", "1024TiB"]).await;
    support::eventually("the disk to be looked at", || async {
        (get(relay.admin, "/readyz").await.status == 503).then_some(())
    })
    .await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    sender.publish(event("before")).await;
    sender.publish(json!({"type": "EVENT", "messageId": "looped", "messagePath": ["here"]})).await;
    let mut peer = far(&relay).await;
    peer.publish(stamped("stamped", 1)).await;
    peer.publish(stamped("by-another-way", 0)).await;
    assert_eq!(peer.rejected(stamped("new", 2)).await["code"], "storage_unavailable");
    relay.stop().await;

    let relay = Relay::start(folder.path(), &["--instance-id", "here"]).await;
    far(&relay).await.publish(stamped("new", 2)).await;
    let mut away = Peer::connect(&relay, "id=away").await;
    assert_eq!(away.take_ids(3).await, ["before", "stamped", "new"].map(str::to_owned));
}

#[tokio::test]
async fn a_low_disk_takes_nothing_new_and_delivers_what_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let (relay, mut sender) = with_an_absent_peer(&folder, &[]).await;
    sender.publish(event("before")).await;
    relay.stop().await;
    // No disk has as much free.
    let relay = Relay::start(folder.path(), &["--min-free-disk", "1024TiB"]).await;
    let mut away = Peer::connect(&relay, "id=away").await;
    assert_eq!(away.take().await.id(), "before");
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let nack = support::eventually("the disk to be looked at", || async {
        (get(relay.admin, "/readyz").await.status == 503).then_some(())
    });
    nack.await;
    let nack = sender.rejected(event("after")).await;
    assert_eq!(nack["code"], "storage_unavailable");
    assert!(nack["reason"].as_str().expect("a reason").contains("disk"), "{nack}");
    let ready = get(relay.admin, "/readyz").await;
    assert!(ready.body.contains("disk"), "{}", ready.body);
    assert!(relay.metric("slipstream_store_free_bytes").await > 0.0);
}

#[tokio::test]
async fn at_the_connection_limit_a_peer_takes_over_its_own_link_and_nobody_else_gets_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--max-connections", "3"]).await;
    let full = async |target: &str| {
        let refused = Peer::refused(&relay, target, &[]).await;
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")), "{target}");
    };
    let _anonymous = Peer::connect(&relay, "").await;
    let other = Peer::connect(&relay, "id=other").await;
    // It does not answer, as one that is gone without a trace.
    let mut gone = Vec::new();
    let app = async || {
        let mut app = Peer::connect(&relay, "id=app").await;
        // Its link runs, and stands for this id from now on.
        app.ping(b"linked").await;
        app
    };
    let mut mute = app().await;
    for _ in 0..3 {
        full("/?id=stranger").await;
        full("/").await;
        let newer = app().await;
        full("/?id=stranger").await;
        full("/").await;
        gone.push(std::mem::replace(&mut mute, newer));
    }
    assert_eq!(mute.publish(event("m1")).await["messageId"], "m1");
    let links = r#"slipstream_active_connections{kind="application"}"#;
    relay.metric_becomes(links, 3.0).await;
    // The links that were taken over do not come back into the count, nor do they leave a place when they end.
    for _ in 0..20 {
        let newer = app().await;
        mute.closed().await;
        mute = newer;
    }
    full("/?id=stranger").await;
    drop(other);
    let stranger = support::eventually("the place of the one that left", || async {
        upgrade(relay.links, "/?id=stranger", &[]).await.ok()
    })
    .await;
    full("/?id=other").await;
    drop(stranger);
}
