//! What an idle link costs, over TCP and over TLS.

#![cfg(test)]

mod support;

use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;

use support::{Files, Peer, Relay, Sealer, Stream, allow_links, each, number_from_environment, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Handshakes that are under way at a time.
const AT_A_TIME: usize = 64;

/// Links as a peer of its own. Only the stream is kept.
async fn link(relay: SocketAddr, number: u64, tls: Option<Sealer>) -> Box<dyn Stream> {
    let mut stream: Box<dyn Stream> = match tls {
        None => Box::new(TcpStream::connect(relay).await.expect("the relay accepts")),
        Some(tls) => within("TLS", tls.connect(relay)).await.expect("the relay accepts"),
    };
    let request = format!(
        "GET /?id=idle-{number} HTTP/1.1\r\nHost: {relay}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("the relay reads");
    stream.flush().await.expect("the relay reads");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within("an answer", stream.read_u8()).await.expect("an answer"));
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    stream
}

async fn links(relay: SocketAddr, numbers: Range<u64>, tls: Option<&Sealer>) -> Vec<Box<dyn Stream>> {
    let (mut streams, mut linking) = (Vec::new(), JoinSet::new());
    for number in numbers {
        if linking.len() == AT_A_TIME {
            streams.extend(linking.join_next().await.map(|linked| linked.expect("a link")));
        }
        linking.spawn(link(relay, number, tls.cloned()));
    }
    streams.extend(linking.join_all().await);
    streams
}

/// Asserts that an idle link costs less than so many bytes of the relay's memory, and still gets what comes.
async fn costs_less_than(most: u64, folder: &Path, listener: &[String], tls: Option<Sealer>) {
    let count = number_from_environment("SLIPSTREAM_IDLE_LINKS").unwrap_or(2_000);
    // The tests of this file run at the same time.
    allow_links(2 * count);
    let max = (count + 200).to_string();
    // Nobody answers pings while the links stand.
    let mut flags = vec!["--max-connections", &max, "--heartbeat=1h", "--idle-timeout=3h"];
    flags.extend(["--max-connections-per-address=0", "--enable-message-logs=false"]);
    flags.extend(each(listener));
    let relay = Relay::start(folder, &flags).await;
    // What the first links cost, the relay has once.
    let mut streams = links(relay.links, 0..100, tls.as_ref()).await;
    let before = relay.process.resident_bytes();
    streams.extend(links(relay.links, 100..count + 100, tls.as_ref()).await);
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    relay.metric_becomes(r#"slipstream_active_connections{kind="application"}"#, (count + 100) as f64).await;
    let each = relay.process.resident_bytes().saturating_sub(before) / count;
    println!("{count} idle links: {each} bytes each");
    assert!(each < most, "{each} bytes for an idle link");
    let mut sender = match tls {
        None => Peer::connect(&relay, "id=sender").await,
        Some(tls) => tls.peer(relay.links, "id=sender").await,
    };
    sender.publish(serde_json::json!({"type": "EVENT", "messageId": "to-all"})).await;
    for stream in &mut streams {
        let mut first = [0; 2];
        within("the message", stream.read_exact(&mut first)).await.expect("the link is up");
        assert_eq!(first[0], 0x81, "a text in one frame");
    }
}

#[tokio::test]
async fn an_idle_link_costs_less_than_30_kib_and_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    costs_less_than(30 << 10, folder.path(), &[], None).await;
}

#[tokio::test]
async fn an_idle_link_over_tls_costs_less_than_40_kib_and_is_kept() {
    let files = Files::usual();
    let tls = Sealer::new(&files, Some("machine-7"));
    costs_less_than(40 << 10, files.folder(), &files.mutual("relay"), Some(tls)).await;
}
