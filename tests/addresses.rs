//! What one address may take: how many connections, directly and behind a proxy that names its clients.

#![cfg(test)]

mod support;

use std::net::Ipv4Addr;

use serde_json::json;
use support::{Link, Peer, Relay, Response, assert_has, eventually, upgrade, upgrade_after, within};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpSocket, TcpStream};

const REFUSED: &str = r#"slipstream_connection_errors_total{reason="max_connections_per_address"}"#;

/// Two connections for each address, and a proxy on loopback.
const BEHIND_A_PROXY: [&str; 4] = ["--max-connections-per-address", "2", "--trusted-proxies", "127.0.0.1,::1"];

/// Asks for a link as the client at `ip`, through a proxy that writes a header.
async fn by_header(relay: &Relay, ip: &str, id: &str) -> Result<Link, Response> {
    let header = match ip.contains(':') {
        true => format!("PROXY TCP6 {ip} ::1 4711 7171\r\n"),
        false => format!("PROXY TCP4 {ip} 127.0.0.1 4711 7171\r\n"),
    };
    let target = format!("/?id={id}");
    let asking = upgrade_after(relay.links, &header, &target, &[]);
    within("an answer", asking).await.map_err(|response| response.expect("a whole answer"))
}

/// The same through a proxy that adds a line to the request.
async fn by_line(relay: &Relay, ip: &str, id: &str) -> Result<Link, Response> {
    let (target, line) = (format!("/?id={id}"), [("X-Forwarded-For", ip)]);
    let asking = upgrade(relay.links, &target, &line);
    within("an answer", asking).await.map_err(|response| response.expect("a whole answer"))
}

/// Waits for a line of the log with all of these.
async fn said(relay: &Relay, parts: &[&str]) {
    let line = || async {
        relay.process.stderr().lines().any(|line| parts.iter().all(|part| line.contains(part))).then_some(())
    };
    eventually(&format!("{parts:?} in the log"), line).await;
}

fn assert_refused(refused: Result<Link, Response>, source: &str) {
    let refused = refused.expect_err("there is no room");
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("5")), "{}", refused.body);
    assert_has(&refused.body, [source, "connections", "one address"]);
}

#[tokio::test]
async fn behind_a_proxy_each_client_has_its_own_connections() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &BEHIND_A_PROXY).await;
    let mut statuses = Vec::new();
    // An IPv6 network is one address, and it is one client that comes by either way.
    for (ips, source) in [
        (["192.0.2.1", "192.0.2.1", "192.0.2.1"], "192.0.2.1"),
        (["2001:db8::1", "2001:db8::2", "2001:db8::ffff"], "2001:db8::/64"),
    ] {
        statuses.push(by_header(&relay, ips[0], "").await.expect_err("an empty id is none").status);
        let first = by_header(&relay, ips[0], "a").await.expect("a place");
        // The connection of the one that was refused may end a moment after its answer.
        let second = || async { by_line(&relay, ips[1], "b").await.ok() };
        let _second = eventually("a second place", second).await;
        assert_refused(by_header(&relay, ips[2], "c").await, source);
        assert_refused(by_line(&relay, ips[2], "c").await, source);
        drop(first);
        let again = || async { by_line(&relay, ips[2], "c").await.ok() };
        drop(eventually("the place of the one that left", again).await);
    }
    assert_eq!(statuses, [400, 400], "who is refused for something else takes no place");
    assert!(relay.metric(REFUSED).await >= 4.0);
    said(&relay, &["WARN", "192.0.2.1 has as many connections", "remote=192.0.2.1:4711"]).await;
}

#[tokio::test]
async fn a_trusted_proxy_itself_has_no_limit_and_clients_do_not_share_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &BEHIND_A_PROXY).await;
    let mut links = Vec::new();
    for number in 0..10 {
        links.push(by_header(&relay, &format!("192.0.2.{number}"), &format!("h{number}")).await.expect("a place"));
        links.push(by_line(&relay, &format!("198.51.100.{number}"), &format!("l{number}")).await.expect("a place"));
        links.push(upgrade(relay.links, &format!("/?id=p{number}"), &[]).await.expect("the proxy's own"));
    }
    relay.metric_becomes(r#"slipstream_active_connections{kind="application"}"#, 30.0).await;
    assert_eq!(relay.metric(REFUSED).await, 0.0);
}

#[tokio::test]
async fn a_peer_takes_over_its_own_link_from_an_address_that_is_full() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &BEHIND_A_PROXY).await;
    let at = async |ip: &str, id: &str| {
        let mut peer = Peer::on(by_header(&relay, ip, id).await.expect("a place"));
        // Its link runs, and stands for this id from now on.
        peer.ping(b"linked").await;
        peer
    };
    let _other = at("192.0.2.1", "other").await;
    let mut app = at("192.0.2.1", "app").await;
    let _elsewhere = at("192.0.2.2", "elsewhere").await;
    for _ in 0..20 {
        let newer = at("192.0.2.1", "app").await;
        assert_eq!(app.closed().await.0, 4000);
        app = newer;
    }
    assert_refused(by_header(&relay, "192.0.2.1", "stranger").await, "192.0.2.1");
    // It has a link, and that one leaves no place here.
    assert_refused(by_header(&relay, "192.0.2.1", "elsewhere").await, "192.0.2.1");
    app.publish(json!({"type": "EVENT", "messageId": "m1"})).await;
    relay.metric_becomes(r#"slipstream_active_connections{kind="application"}"#, 3.0).await;
}

/// Connects from 127.0.0.`host`, and says nothing.
async fn silent(relay: &Relay, host: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((Ipv4Addr::new(127, 0, 0, host), 0).into()).expect("it is this machine's");
    socket.connect(relay.links).await.expect("it listens")
}

#[tokio::test]
async fn connections_that_say_nothing_count_and_hold_up_no_other_address() {
    let folder = tempfile::tempdir().expect("a folder");
    let flags = ["--max-connections-per-address", "2", "--handshake-timeout", "60s"];
    let relay = Relay::start(folder.path(), &flags).await;
    let mut crowd = Vec::new();
    for _ in 0..40 {
        crowd.push(silent(&relay, 7).await);
    }
    // Two have a place, 16 may still be told that there is none, and the rest is dropped unheard.
    relay.metric_becomes(REFUSED, 22.0).await;
    for stream in &mut crowd[18..] {
        let read = within("the end of a connection", stream.read(&mut [0; 1])).await;
        assert_eq!(read.unwrap_or(0), 0);
    }
    let mut other = Peer::connect(&relay, "id=other").await;
    other.publish(json!({"type": "EVENT", "messageId": "m1"})).await;
    drop(crowd);
    let links = [Peer::connect(&relay, "id=a").await];
    relay.metric_becomes(r#"slipstream_active_connections{kind="application"}"#, 2.0).await;
    drop(links);
}

#[tokio::test]
async fn a_header_of_who_is_no_trusted_proxy_is_refused_and_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--trusted-proxies", "192.0.2.0/24"]).await;
    let errors = |reason: &str| format!(r#"slipstream_connection_errors_total{{reason="{reason}"}}"#);
    for _ in 0..3 {
        let refused = by_header(&relay, "203.0.113.9", "a").await.expect_err("it is no proxy");
        assert_eq!(refused.status, 400);
        assert_has(&refused.body, ["PROXY header", "127.0.0.1", "no proxy that this relay trusts"]);
    }
    relay.metric_becomes(&errors("proxy_untrusted"), 3.0).await;
    // What it says in its request counts for nothing, and is no fault: clients may say anything there.
    let _link = by_line(&relay, "203.0.113.9", "a").await.expect("a link");
    said(&relay, &["link up", "remote=127.0.0.1:"]).await;
    let warnings = relay.process.stderr().matches("WARN").count();
    assert_eq!(warnings, 1, "one line for all of them:\n{}", relay.process.stderr());

    let relay = Relay::start(&folder.path().join("trusting"), &["--trusted-proxies", "127.0.0.1"]).await;
    let broken = upgrade_after(relay.links, "PROXY TCP4 nobody 127.0.0.1 1 2\r\n", "/?id=a", &[]).await;
    let refused = broken.expect_err("it cannot be read").expect("a whole answer");
    assert_eq!(refused.status, 400);
    relay.metric_becomes(&errors("proxy_header"), 1.0).await;
    let _link = by_header(&relay, "203.0.113.9", "a").await.expect("a link");
    said(&relay, &["link up", "remote=203.0.113.9:4711"]).await;
}
