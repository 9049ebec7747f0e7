//! What an idle link costs.

#![cfg(test)]

mod support;

use support::{Peer, Relay, allow_links, number_from_environment, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// The most that an idle link may cost of the relay's memory, in bytes.
const MOST: u64 = 30 << 10;

/// Handshakes that are under way at a time.
const AT_A_TIME: usize = 64;

/// Links as a peer of its own. Only the socket is kept.
async fn link(relay: std::net::SocketAddr, number: u64) -> TcpStream {
    let mut stream = TcpStream::connect(relay).await.expect("the relay accepts");
    let request = format!(
        "GET /?id=idle-{number} HTTP/1.1\r\nHost: {relay}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("the relay reads");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within("an answer", stream.read_u8()).await.expect("an answer"));
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    stream
}

async fn links(relay: &Relay, numbers: std::ops::Range<u64>) -> Vec<TcpStream> {
    let (mut streams, mut linking) = (Vec::new(), JoinSet::new());
    for number in numbers {
        if linking.len() == AT_A_TIME {
            streams.extend(linking.join_next().await.map(|linked| linked.expect("a link")));
        }
        linking.spawn(link(relay.links, number));
    }
    streams.extend(linking.join_all().await);
    streams
}

#[tokio::test]
async fn an_idle_link_costs_less_than_30_kib_and_is_kept() {
    let count = number_from_environment("SLIPSTREAM_IDLE_LINKS").unwrap_or(2_000);
    allow_links(count);
    let folder = tempfile::tempdir().expect("a folder");
    let flags = [
        "--max-connections",
        &(count + 200).to_string(),
        "--max-connections-per-address=0",
        "--enable-message-logs=false",
    ];
    let relay = Relay::start(folder.path(), &flags).await;
    // What the first links cost, the relay has once.
    let mut streams = links(&relay, 0..100).await;
    let before = relay.process.resident_bytes();
    streams.extend(links(&relay, 100..count + 100).await);
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    relay.metric_becomes(r#"slipstream_active_connections{kind="application"}"#, (count + 100) as f64).await;
    let each = relay.process.resident_bytes().saturating_sub(before) / count;
    println!("{count} idle links: {each} bytes each");
    assert!(each < MOST, "{each} bytes for an idle link");
    // Each of them still gets what comes.
    let mut sender = Peer::connect(&relay, "id=sender").await;
    sender.publish(serde_json::json!({"type": "EVENT", "messageId": "to-all"})).await;
    for stream in &mut streams {
        let mut first = [0; 2];
        within("the message", stream.read_exact(&mut first)).await.expect("the link is up");
        assert_eq!(first[0], 0x81, "a text in one frame");
    }
}
