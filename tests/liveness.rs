//! When a link is given up, and when it is not (PROTOCOL: "Transport"): slow lines, peers that never read, and a relay
//! that was stopped for a while.

#![cfg(test)]

mod support;

use std::time::Duration;

use serde_json::json;
use support::{FIN, Peer, Relay, Response, Signal, Slow, TEXT, frame, upgrade, within};
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::sleep;

/// Links are judged after two seconds. Who has one must answer pings, or leave.
const JUDGED_SOON: [&str; 2] = ["--heartbeat=500ms", "--idle-timeout=2s"];

async fn links_given_up(relay: &Relay) -> f64 {
    let mut sum = 0.0;
    for reason in ["idle", "stalled"] {
        sum += relay.metric(&format!(r#"slipstream_connection_errors_total{{reason="{reason}"}}"#)).await;
    }
    sum
}

#[tokio::test]
async fn a_big_message_on_a_slow_line_between_relays_passes_once() {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let flags = [&JUDGED_SOON[..], &["--max-message-bytes=16MiB"]].concat();
    let far = Relay::start(folders[1].path(), &[&flags[..], &["--instance-id=far"]].concat()).await;
    // It takes six times the idle timeout.
    let line = Slow::start(far.links, 500 << 10).await;
    let peers = json!([{"url": format!("ws://{}/", line.address)}]).to_string();
    let near = Relay::start(folders[0].path(), &[&flags[..], &["--url-config", &peers]].concat()).await;
    drop(Peer::connect(&far, "id=receiver").await);
    near.metric_becomes(r#"slipstream_active_connections{kind="relay"}"#, 1.0).await;
    let big = json!({"type": "EVENT", "messageId": "big", "value": "v".repeat(6_000_000)}).to_string();
    Peer::connect(&near, "id=sender").await.publish(big).await;
    assert_eq!(Peer::connect(&far, "id=receiver").await.take().await.id(), "big");
    near.metric_becomes(r#"slipstream_backlog{peer="far"}"#, 0.0).await;
    assert_eq!(near.metric(r#"slipstream_reconnects_total{peer="far"}"#).await, 0.0, "{}", near.process.stderr());
    for relay in [&near, &far] {
        assert!(links_given_up(relay).await == 0.0, "{}", relay.process.stderr());
    }
}

#[tokio::test]
async fn an_application_on_a_slow_line_gets_a_big_message_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &JUDGED_SOON).await;
    let line = Slow::start(relay.links, 100 << 10).await;
    let message = json!({"type": "EVENT", "messageId": "big", "value": "v".repeat(900_000)}).to_string();
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let mut receiver = Peer::connect_to(line.address, "id=receiver", &[]).await;
    let taking = async { receiver.take().await.id().to_owned() };
    // The sender answers pings meanwhile.
    let sending = async {
        sender.publish(message).await;
        loop {
            sender.ping(b"here").await;
            sleep(Duration::from_millis(100)).await;
        }
    };
    let id = tokio::select! { id = taking => id, () = sending => unreachable!() };
    assert_eq!(id, "big");
    relay.metric_becomes(r#"slipstream_backlog{peer="receiver"}"#, 0.0).await;
    assert!(links_given_up(&relay).await == 0.0, "{}", relay.process.stderr());
}

#[tokio::test]
async fn clients_that_write_and_never_read_do_not_lock_everybody_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[&JUDGED_SOON[..], &["--max-connections=3"]].concat()).await;
    // Each is answered, and the answers fill every buffer.
    let flood = frame(FIN | TEXT, b"x").repeat(1000);
    let mut links = Vec::new();
    for client in 0..3 {
        links.push(upgrade(relay.links, &format!("/?id=deaf-{client}"), &[]).await.expect("a link"));
    }
    assert_eq!(Peer::refused(&relay, "/?id=other", &[]).await.status, 503);
    let floods = links.into_iter().map(|mut link| {
        let flood = flood.clone();
        // It ends when the relay has dropped the link.
        tokio::spawn(async move { while link.writer.raw(&flood).await.is_ok() {} })
    });
    for flood in floods.collect::<Vec<_>>() {
        within("the end of a link that nobody reads", flood).await.expect("no panic");
    }
    relay.metric_becomes("slipstream_links_stalled_total", 3.0).await;
    relay.metric_becomes(r#"slipstream_connection_errors_total{reason="stalled"}"#, 3.0).await;
    let said = relay.process.stderr();
    for client in 0..3 {
        let line = said.lines().find(|line| line.contains(&format!("deaf-{client}")) && line.contains("took nothing"));
        assert!(line.is_some_and(|line| line.contains("WARN")), "{said}");
    }
    Peer::connect(&relay, "id=other").await.publish(json!({"type": "EVENT"})).await;
}

#[tokio::test]
async fn after_a_stop_the_relay_reads_before_it_judges() {
    let folder = tempfile::tempdir().expect("a folder");
    let flags = [&JUDGED_SOON[..], &["--handshake-timeout=2s"]].concat();
    let relay = Relay::start(folder.path(), &flags).await;
    let mut peers = Vec::new();
    for number in 0..5 {
        let mut peer = Peer::connect(&relay, &format!("id=peer-{number}")).await;
        peer.publish(json!({"type": "EVENT", "targetedTags": ["nobody"]})).await;
        peers.push(peer);
    }
    let mut begun = BufReader::new(TcpStream::connect(relay.links).await.expect("it listens"));
    let request = "GET /?id=late HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let (first, second) = request.split_at(20);
    begun.write_all(first.as_bytes()).await.expect("written");
    relay.process.signal(Signal::STOP);
    for (number, peer) in peers.iter_mut().enumerate() {
        peer.send(json!({"type": "EVENT", "messageId": number.to_string(), "targetedTags": ["nobody"]})).await;
    }
    begun.write_all(second.as_bytes()).await.expect("written");
    // What is tested is what happens after more than the idle timeout.
    sleep(Duration::from_secs(5)).await;
    relay.process.signal(Signal::CONT);
    let response = within("the answer", Response::read(&mut begun)).await.expect("an answer");
    assert_eq!(response.status, 101);
    for (number, peer) in peers.iter_mut().enumerate() {
        assert_eq!(peer.answer().await["messageId"], number.to_string());
    }
    assert!(links_given_up(&relay).await == 0.0, "{}", relay.process.stderr());
}
