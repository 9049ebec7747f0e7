//! How a link begins: who may have one, and what each side says of itself (PROTOCOL: "Saying who you are").

#![cfg(test)]

mod support;

use support::{Peer, Relay, Response, TEXT, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

#[tokio::test]
async fn the_response_tells_who_the_relay_is_and_who_the_client_is_here() {
    let folder = tempfile::tempdir().expect("a folder");
    let flags = ["--instance-id", "relay-aws", "--tags", "aws,production", "--cluster-group-id", "cluster-1"];
    let relay = Relay::start(folder.path(), &flags).await;
    let peer = Peer::connect(&relay, "id=shop").await;
    for (header, value) in [
        ("slipstream-id", "relay-aws"),
        ("slipstream-tags", "aws,production"),
        ("slipstream-cluster-group", "cluster-1"),
        ("slipstream-kind", "relay"),
        ("slipstream-protocol", "1"),
        ("slipstream-accept", "ack-batch"),
        ("slipstream-max-message-bytes", "983040"),
        ("slipstream-peer-id", "shop"),
    ] {
        assert_eq!(peer.link.response.header(header), Some(value), "{header}");
    }
}

#[tokio::test]
async fn a_peer_names_itself_by_query_or_header_and_the_query_wins() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let named = [("Slipstream-Id", "by-header"), ("Slipstream-Tags", "x,y"), ("Slipstream-Cluster-Group", "g-header")];
    let mut by_header = Peer::connect_with(&relay, "", &named).await;
    assert_eq!(by_header.id(), "by-header");
    let named = [("Slipstream-Id", "lost"), ("Slipstream-Tags", "lost"), ("Slipstream-Cluster-Group", "lost")];
    let mut by_query = Peer::connect_with(&relay, "id=by-query&tags=z&clusterGroupId=g-query", &named).await;
    assert_eq!(by_query.id(), "by-query");
    let mut sender = Peer::connect(&relay, "id=sender").await;
    for tag in ["lost", "y", "z"] {
        sender.publish(serde_json::json!({"type": "TO", "messageId": tag, "targetedTags": [tag]})).await;
    }
    assert_eq!(by_header.take().await.id(), "y");
    assert_eq!(by_query.take().await.id(), "z");
    assert_eq!(by_header.publish(r#"{"type":"FROM","messageId":"1"}"#).await["clusterGroupId"], "g-header");
    assert_eq!(by_query.publish(r#"{"type":"FROM","messageId":"1"}"#).await["clusterGroupId"], "g-query");
}

#[tokio::test]
async fn an_escaped_query_is_read_as_it_is_meant() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let peer = Peer::connect(&relay, "tags=x%2Cy&id=a%3Ab&unknown=1").await;
    assert_eq!(peer.id(), "a:b");
}

#[tokio::test]
async fn an_extension_that_is_offered_is_declined_and_the_link_works() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let offer =
        [("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"), ("Origin", "https://example.org")];
    let mut peer = Peer::connect_with(&relay, "id=a", &offer).await;
    assert_eq!(peer.link.response.header("sec-websocket-extensions"), None);
    peer.publish(r#"{"type":"EVENT"}"#).await;
    // A frame that is marked as compressed breaks the protocol where compression was declined.
    peer.link.writer.frame(support::FIN | 0x40 | TEXT, b"x");
    peer.link.writer.flush().await.expect("the link is up");
    assert_eq!(peer.closed().await.0, 1002);
}

#[tokio::test]
async fn the_subprotocol_is_echoed_and_with_another_one_no_peer_is_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--enable-debug-logs"]).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    for offer in ["mqtt", "chat, superchat", "slipstream.v2", "slipstream.bearer.s3cret"] {
        let refused = Peer::refused(&relay, "/?id=never", &[("Sec-WebSocket-Protocol", offer)]).await;
        assert_eq!(refused.status, 400, "{offer}: {}", refused.body);
        assert!(
            refused.body.contains("slipstream.v1") && !refused.body.contains("s3cret"),
            "{offer}: {}",
            refused.body
        );
    }
    sender.publish(serde_json::json!({"type": "EVENT", "messageId": "before"})).await;
    for offer in ["slipstream.v1", "chat, slipstream.v1", "slipstream.v1, slipstream.bearer.s3cret"] {
        let mut peer = Peer::connect_with(&relay, "id=never", &[("Sec-WebSocket-Protocol", offer)]).await;
        assert_eq!(peer.link.response.header("sec-websocket-protocol"), Some("slipstream.v1"));
        peer.publish(r#"{"type":"EVENT","targetedTags":["nobody"]}"#).await;
        peer.silent().await;
    }
    assert!(!relay.process.stderr().contains("s3cret"), "{}", relay.process.stderr());
}

#[tokio::test]
async fn a_request_that_also_says_close_gets_its_link() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    // Beside the one line that every request has.
    for line in ["close", "Close, Upgrade", "keep-alive, close"] {
        let mut peer = Peer::connect_with(&relay, "id=a", &[("Connection", line)]).await;
        assert_eq!(peer.link.response.header("connection"), Some("Upgrade"), "{line}");
        peer.publish(r#"{"type":"EVENT"}"#).await;
    }
}

#[tokio::test]
async fn what_a_browser_cannot_say_in_headers_it_says_in_the_query() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let mut small =
        Peer::connect_with(&relay, "id=small&maxMessageBytes=600", &[("Slipstream-Max-Message-Bytes", "9")]).await;
    let mut sender = Peer::connect(&relay, "id=sender&ackBatch=1").await;
    sender.publish(serde_json::json!({"type": "EVENT", "messageId": "large", "value": "v".repeat(600)})).await;
    sender.publish(serde_json::json!({"type": "EVENT", "messageId": "m0"})).await;
    assert_eq!(small.take().await.id(), "m0");
    relay.metric_becomes("slipstream_dead_letters", 1.0).await;
    for number in 0..2_000 {
        sender.link.writer.text(&format!(r#"{{"type":"EVENT","targetedTags":["nobody"],"messageId":"{number}"}}"#));
    }
    sender.link.writer.flush().await.expect("the link is up");
    let mut confirmed = 0;
    let mut batched = false;
    while confirmed < 2_000 {
        let ack = sender.answer().await;
        let ids = ack["messageIds"].as_array().map_or(1, Vec::len);
        batched |= ids > 1;
        confirmed += ids;
    }
    assert!(batched, "no ACK was for many messages");
    for (query, part) in [("ackBatch=yes", "ackBatch: expected 1 or 0"), ("maxMessageBytes=1MiB", "number of bytes")] {
        let refused = Peer::refused(&relay, &format!("/?id=b&{query}"), &[]).await;
        assert_eq!(refused.status, 400);
        assert!(refused.body.contains(part), "{}", refused.body);
    }
}

#[tokio::test]
async fn a_refusal_is_not_lost_where_the_client_has_sent_much_already() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let mut stream = BufReader::new(TcpStream::connect(relay.links).await.expect("it listens"));
    let request = "GET /nowhere HTTP/1.1\r\nHost: relay\r\n\r\n".to_owned() + &"x".repeat(500_000);
    stream.write_all(request.as_bytes()).await.expect("everything is read");
    let response = within("the refusal", Response::read(&mut stream)).await.expect("a whole answer");
    assert_eq!(response.status, 404);
    let rest = within("the end", stream.read_to_end(&mut Vec::new())).await;
    assert_eq!(rest.expect("no reset"), 0);
}

#[tokio::test]
async fn bad_names_are_refused_with_one_line_that_says_which() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--instance-id", "relay-aws"]).await;
    let long = "i".repeat(129);
    let tags = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let cases = [
        ("id=".to_owned(), "id"),
        ("id=two%20words".to_owned(), "id"),
        ("id=%C3%A9".to_owned(), "id"),
        ("id=%ff".to_owned(), ""),
        (format!("id={long}"), "id"),
        ("id=relay-aws".to_owned(), "relay-aws"),
        (format!("id=a&tags={}", tags(65)), "tags"),
        (format!("id=a&tags={}", "t".repeat(65)), "tag"),
        ("id=a&tags=a%2Fb".to_owned(), "tag"),
        ("id=a&clusterGroupId=".to_owned(), ""),
        ("id=a&clusterGroupId=a%20b".to_owned(), ""),
    ];
    for (query, named) in &cases {
        let refused = Peer::refused(&relay, &format!("/?{query}"), &[]).await;
        assert_eq!(refused.status, 400, "{query}: {}", refused.body);
        assert!(refused.body.contains(named), "{query}: {}", refused.body);
        let reason = refused.body.trim_end();
        assert!(!reason.is_empty() && reason.lines().count() == 1 && reason.len() < 400, "{query}: {:?}", refused.body);
    }
    let refused = Peer::refused(&relay, "/", &[("Slipstream-Id", "two words")]).await;
    assert_eq!(refused.status, 400, "{}", refused.body);
    let refused = Peer::refused(&relay, "/?id=a", &[("Slipstream-Kind", "captain")]).await;
    assert_eq!(refused.status, 400, "{}", refused.body);
    // What is just within the limits is taken.
    let widest = format!("id={}&tags={}", "i".repeat(128), tags(64));
    assert_eq!(Peer::connect(&relay, &widest).await.id().len(), 128);
    Peer::connect(&relay, &format!("id=a&tags={}", "t".repeat(64))).await;
}

#[tokio::test]
async fn any_other_path_is_not_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    for path in ["/relay?id=a", "/metrics", "//", "/%2e"] {
        assert_eq!(Peer::refused(&relay, path, &[]).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn over_the_connection_limit_a_client_is_told_to_come_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--max-connections", "2"]).await;
    let first = Peer::connect(&relay, "id=a").await;
    let mut second = Peer::connect(&relay, "id=b").await;
    let refused = Peer::refused(&relay, "/?id=c", &[]).await;
    assert_eq!(refused.status, 503, "{}", refused.body);
    let later = refused.header("retry-after").expect("it says when to come again");
    assert!(later.parse::<u32>().is_ok(), "{later}");
    relay.metric_becomes(r#"slipstream_connection_errors_total{reason="max_connections"}"#, 1.0).await;
    second.publish(r#"{"type":"EVENT","messageId":"1"}"#).await;
    drop(first);
    support::eventually("a free place", || async { support::upgrade(relay.links, "/?id=c", &[]).await.ok() }).await;
    second.publish(r#"{"type":"EVENT","messageId":"2"}"#).await;
}

#[tokio::test]
async fn a_client_without_an_id_gets_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let (first, second) = (Peer::connect(&relay, "").await, Peer::connect(&relay, "tags=x").await);
    for peer in [&first, &second] {
        let ulid = peer.id().strip_prefix("anon-").expect("it is marked");
        assert!(ulid.len() == 26 && ulid.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{ulid}");
    }
    assert_ne!(first.id(), second.id());
}
