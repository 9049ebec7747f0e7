//! Two relays far apart: 300 ms for a round trip, and one segment in a hundred lost.
//!
//! The way is a proxy in user space, which delays and stalls as TCP does over such a way. Where the kernel has netem, a
//! network namespace would do the same. How close the throughput comes to what the window allows is told here, and
//! asserted in the simulation (`a_slow_and_lossy_link_keeps_its_throughput_and_never_flaps`), whose time no machine slows.

#![cfg(test)]

mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use support::{Far, Peer, Relay, Way, number_from_environment};

const WAY: Way = Way { delay: Duration::from_millis(150), lost_one_in: 100, stall: Duration::from_millis(300) };

/// The window of the sending relay.
const WINDOW: u64 = 1_024;

#[tokio::test]
async fn a_far_link_delivers_in_order_and_never_flaps() {
    let messages = number_from_environment("SLIPSTREAM_FAR_MESSAGES").unwrap_or(20_000);
    let seed = number_from_environment("SLIPSTREAM_FAR_SEED").unwrap_or(7);
    println!("seed {seed}");
    let folders = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
    // Many heartbeats while the load lasts. How much silence ends a link is tried in the simulation, where no process has
    // to wait for a processor.
    let quick = ["--heartbeat", "500ms", "--idle-timeout", "60s"];
    let far = Relay::start(folders[0].path(), &[&["--instance-id", "far"][..], &quick].concat()).await;
    let mut receiver = Peer::connect(&far, "id=receiver").await;
    let way = Far::start(far.links, WAY, seed).await;
    let peers = json!([{"url": format!("ws://{}/", way.address), "id": "far"}]).to_string();
    let quiet = ["--enable-message-logs=false"];
    let flags = [&["--instance-id", "near", "--url-config", &peers][..], &quick, &quiet].concat();
    let near = Relay::start(folders[1].path(), &flags).await;
    near.metric_becomes(r#"slipstream_active_connections{kind="relay"}"#, 1.0).await;

    let mut sender = Peer::connect(&near, "id=sender").await;
    let began = Instant::now();
    let sending = tokio::spawn(async move {
        for number in 0..messages {
            let message = json!({"type": "EVENT", "messageId": format!("m{number}"), "value": "x".repeat(200)});
            sender.link.writer.text(&message.to_string());
            if number % 500 == 499 {
                sender.link.writer.flush().await.expect("the link is up");
            }
        }
        sender.link.writer.flush().await.expect("the link is up");
        for _ in 0..messages {
            assert_eq!(sender.answer().await["type"], "ACK");
        }
        sender
    });
    for number in 0..messages {
        assert_eq!(receiver.take().await.id(), format!("m{number}"), "in order, and once");
    }
    let took = began.elapsed();
    sending.await.expect("each is confirmed");
    near.metric_becomes(r#"slipstream_backlog{peer="far"}"#, 0.0).await;
    for series in [r#"slipstream_reconnects_total{peer="far"}"#, r#"slipstream_republishes_total{peer="far"}"#] {
        assert_eq!(near.metric(series).await, 0.0, "{series}");
    }
    let log = near.process.stderr();
    let flapped = log.lines().any(|line| line.contains("link down") && line.contains("peer=far"));
    assert!(!flapped && near.metric(r#"slipstream_active_connections{kind="relay"}"#).await == 1.0, "{log}");
    // A window a round trip is the most that there can be.
    let round_trip = 2 * WAY.delay;
    let rounds = messages.div_ceil(WINDOW);
    assert!(
        took >= round_trip * u32::try_from(rounds / 2).expect("few"),
        "the way is not as long as it should be: {took:?}"
    );
    let bound = WINDOW as f64 / round_trip.as_secs_f64();
    let rate = messages as f64 / took.as_secs_f64();
    println!("{rate:.0} messages/s, {:.0} % of a window each {round_trip:?}", 100.0 * rate / bound);
}
