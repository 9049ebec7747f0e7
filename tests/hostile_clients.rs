//! Clients that never finish what they begin, and clients that flood: each is ended or made to wait, memory stays
//! bounded, and nobody else notices.

#![cfg(test)]

mod support;

use std::time::Duration;

use serde_json::json;
use support::{FIN, PING, Pair, Peer, Relay, Response, eventually, frame, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// Most bytes that a flood writes. What the sockets' own buffers hold is far less.
const FLOOD_BYTES: usize = 64 << 20;

async fn dial(relay: &Relay) -> TcpStream {
    TcpStream::connect(relay.links).await.expect("the relay listens")
}

/// Waits until the relay has ended a connection; what it still sends is dropped.
async fn ended(stream: &mut TcpStream) {
    let mut sink = vec![0; 4096];
    let reading = async { while matches!(stream.read(&mut sink).await, Ok(1..)) {} };
    within("the end of a connection", reading).await;
}

#[tokio::test]
async fn what_is_no_upgrade_request_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let mut pair = Pair::start(&relay).await;
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade";
    let many: String = (0..5000).map(|number| format!("X-{number}: x\r\n")).collect();
    let requests = [
        ("garbage", "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\r\n\r\n".repeat(100)),
        ("no HTTP", "EHLO relay\r\n\r\n".to_owned()),
        ("no upgrade", "GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned()),
        ("a POST", format!("POST / HTTP/1.1\r\nHost: x\r\n{upgrade}\r\nSec-WebSocket-Version: 13\r\n{key}\r\n\r\n")),
        ("no key", format!("GET / HTTP/1.1\r\nHost: x\r\n{upgrade}\r\nSec-WebSocket-Version: 13\r\n\r\n")),
        (
            "an old version",
            format!("GET / HTTP/1.1\r\nHost: x\r\n{upgrade}\r\nSec-WebSocket-Version: 8\r\n{key}\r\n\r\n"),
        ),
        ("HTTP/1.0", format!("GET / HTTP/1.0\r\nHost: x\r\n{upgrade}\r\nSec-WebSocket-Version: 13\r\n{key}\r\n\r\n")),
        ("many headers", format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n")),
        ("a giant header", format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(4 << 20))),
        ("a giant target", format!("GET /?id={} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(4 << 20))),
    ];
    for (what, request) in requests {
        let mut stream = BufReader::new(dial(&relay).await);
        // Where the relay has refused before everything was written, the write may fail.
        let _ = stream.write_all(request.as_bytes()).await;
        // Where it was refused that early, the response may have been lost with the connection.
        if let Some(response) = within(what, Response::read(&mut stream)).await {
            assert!((400..500).contains(&response.status), "{what}: {}", response.status);
        }
        ended(stream.get_mut()).await;
        pair.goes_on().await;
    }
    relay.assert_small("after what is no request");
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--handshake-timeout", "1s"]).await;
    let mut pair = Pair::start(&relay).await;
    let mut mute = dial(&relay).await;
    ended(&mut mute).await;
    let mut slow = dial(&relay).await;
    // A byte now and then, so that it is never quiet; only the relay can end this.
    let dripping = async {
        for byte in b"GET / HTTP/1.1\r\nHost: x\r\nX: ".iter().chain([&b'x'].into_iter().cycle()) {
            if slow.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("the end of a slow request", dripping).await;
    relay.metric_becomes(r#"slipstream_connection_errors_total{reason="handshake_timeout"}"#, 2.0).await;
    pair.goes_on().await;
}

#[tokio::test]
async fn a_crowd_of_mute_connections_keeps_nobody_out_for_long() {
    let folder = tempfile::tempdir().expect("a folder");
    let flags = ["--max-connections", "32", "--handshake-timeout", "2s"];
    let relay = Relay::start(folder.path(), &flags).await;
    let mut pair = Pair::start(&relay).await;
    let mut crowd = Vec::new();
    for _ in 0..400 {
        crowd.push(dial(&relay).await);
    }
    pair.goes_on().await;
    // While the crowd is there and after it was sent away, the links that stand stand.
    eventually("a place for another peer", || async { support::upgrade(relay.links, "/?id=new", &[]).await.ok() })
        .await;
    for stream in &mut crowd {
        ended(stream).await;
    }
    pair.goes_on().await;
    relay.assert_small("after a crowd");
}

#[tokio::test]
async fn more_links_than_the_limit_are_told_to_come_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--max-connections", "10"]).await;
    let mut pair = Pair::start(&relay).await;
    let (mut links, mut refused) = (Vec::new(), 0);
    for number in 0..100 {
        match within("an answer", support::upgrade(relay.links, &format!("/?id=p{number}"), &[])).await {
            Ok(link) => links.push(link),
            Err(response) => {
                let response = response.expect("a refusal is told");
                assert_eq!(response.status, 503, "{}", response.body);
                assert!(response.header("retry-after").is_some());
                refused += 1;
            }
        }
    }
    assert_eq!((links.len(), refused), (8, 92), "two of the ten are the pair's");
    pair.goes_on().await;
}

/// Writes `burst` again and again, and never reads: until the relay ends the link, makes the writer wait, or
/// [`FLOOD_BYTES`] are written.
async fn flood(peer: &mut Peer, burst: &[u8]) {
    let mut written = 0;
    while written < FLOOD_BYTES {
        match tokio::time::timeout(Duration::from_secs(2), peer.link.writer.raw(burst)).await {
            Ok(Ok(())) => written += burst.len(),
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

#[tokio::test]
async fn floods_without_reading_cost_no_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--enable-message-logs=false"]).await;
    let mut pair = Pair::start(&relay).await;
    let text = |text: &str| frame(FIN | support::TEXT, text.as_bytes());
    let message = json!({"type": "SK", "key": "k", "value": 1, "messageId": "same", "targetedTags": ["nobody"]});
    let bursts = [
        ("pings", frame(FIN | PING, &[b'x'; 125]).repeat(500)),
        ("pongs", frame(FIN | support::PONG, &[b'x'; 125]).repeat(500)),
        ("empty texts", text("").repeat(5000)),
        ("what is refused", text("nonsense").repeat(5000)),
        ("duplicates", text(&message.to_string()).repeat(1000)),
        ("conflicts", text(r#"{"type":"EVENT","messageId":"same"}"#).repeat(1000)),
        ("stray ACKs", text(r#"{"type":"ACK","messageId":"x"}"#).repeat(1000)),
    ];
    for (what, burst) in bursts {
        let mut peer = Peer::connect(&relay, "id=hostile").await;
        flood(&mut peer, &burst).await;
        relay.assert_small(&format!("after a flood of {what}"));
        pair.goes_on().await;
    }
}

/// Beyond the limit of connections some are heard, since they may take over a link; more than those are dropped, and
/// counted.
#[tokio::test]
async fn connections_far_beyond_the_limit_are_dropped_and_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--max-connections", "2", "--handshake-timeout", "60s"]).await;
    let mut pair = Pair::start(&relay).await;
    let mut silent = Vec::new();
    for _ in 0..256 + 3 {
        silent.push(dial(&relay).await);
    }
    relay.metric_becomes("slipstream_connection_errors_total{reason=\"no_room\"}", 3.0).await;
    for dropped in &mut silent[256..] {
        ended(dropped).await;
    }
    pair.goes_on().await;
}
