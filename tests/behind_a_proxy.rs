//! The examples of docs/behind-a-proxy.md, run as they stand there at other addresses: real proxies that end TLS in front
//! of a relay, which knows each client by its own address.

#![cfg(test)]

mod support;

use std::net::{IpAddr, Ipv4Addr};

use serde_json::json;
use support::{Peer, Proxied, ProxyKind, Relay, assert_has, certificate, eventually, upgrade, within};
use tempfile::TempDir;

const PAGE: &str = include_str!("../docs/behind-a-proxy.md");

/// What makes a proxy name its client, in the examples.
const NAMING: [&str; 5] = [
    " send-proxy-v2",
    "    option forwardfor\n",
    "            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n",
    "        proxy_protocol on;\n",
    "protocol = proxy\n",
];

/// The clients; the proxies come to the relay from 127.0.0.1.
const CLIENTS: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::new(127, 0, 9, 1)), IpAddr::V4(Ipv4Addr::new(127, 0, 9, 2))];

/// An example of the page, by its language and something that stands in it.
fn example(language: &str, part: &str) -> String {
    let blocks = PAGE.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix(language));
    let found: Vec<&str> = blocks.filter(|block| block.contains(part)).collect();
    assert_eq!(found.len(), 1, "{language} with {part}");
    found[0].trim_start().to_owned()
}

/// A relay behind a proxy.
struct Place {
    folder: TempDir,
    relay: Relay,
    proxy: Proxied,
}

impl Place {
    async fn start(kind: ProxyKind, example: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        certificate(folder.path()).await;
        let flags = ["--trusted-proxies=127.0.0.1", "--max-connections-per-address=2"];
        let relay = Relay::start(folder.path(), &flags).await;
        let proxy = Proxied::start(kind, example, relay.links, folder.path()).await;
        Self { folder, relay, proxy }
    }

    /// Where a client at this address may speak without TLS.
    async fn client(&self, from: IpAddr) -> Proxied {
        Proxied::client(from, self.proxy.address, self.folder.path()).await
    }

    /// Links a peer, and returns what the log names as its address.
    async fn linked(&self, client: &Proxied, id: &str, headers: &[(&str, &str)]) -> (Peer, String) {
        let peer = Peer::connect_to(client.address, &format!("id={id}"), headers).await;
        let named = format!("peer={id} ");
        let look = || async {
            let log = self.relay.process.stderr();
            let line = log.lines().find(|line| line.contains("link up") && line.contains(&named))?;
            line.split_once("remote=")?.1.split(' ').next().map(str::to_owned)
        };
        (peer, eventually("the link in the log", look).await)
    }
}

/// What holds where the proxy names its clients: the relay knows them, and each has its own limit.
async fn clients_are_known(kind: ProxyKind, example: &str) {
    let place = Place::start(kind, example).await;
    let clients = [place.client(CLIENTS[0]).await, place.client(CLIENTS[1]).await];
    let forged = [("X-Forwarded-For", "203.0.113.9")];
    let (mut first, seen) = place.linked(&clients[0], "a1", &forged).await;
    assert!(seen.starts_with("127.0.9.1:"), "{seen}");
    let (_second, seen) = place.linked(&clients[0], "a2", &[]).await;
    assert!(seen.starts_with("127.0.9.1:"), "{seen}");
    let asking = upgrade(clients[0].address, "/?id=a3", &forged);
    let refused = within("an answer", asking).await.expect_err("it has two already").expect("a whole answer");
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("5")));
    assert_has(&refused.body, ["127.0.9.1"]);
    let (mut other, seen) = place.linked(&clients[1], "b1", &[]).await;
    assert!(seen.starts_with("127.0.9.2:"), "{seen}");
    first.publish(json!({"type": "EVENT", "messageId": "m1"})).await;
    assert_eq!(other.take().await.id(), "m1");
    for reason in ["proxy_header", "proxy_untrusted"] {
        let series = format!(r#"slipstream_connection_errors_total{{reason="{reason}"}}"#);
        assert_eq!(place.relay.metric(&series).await, 0.0, "{reason}");
    }
}

/// What holds where the proxy does not name its clients, as none does by itself: they are the proxy, or who they claim to
/// be.
async fn clients_are_not_known(kind: ProxyKind, example: &str) {
    let bare = NAMING.iter().fold(example.to_owned(), |text, naming| text.replace(naming, ""));
    assert_ne!(bare, example);
    let place = Place::start(kind, &bare).await;
    let client = place.client(CLIENTS[0]).await;
    let mut links = Vec::new();
    for number in 0..3 {
        let (peer, seen) = place.linked(&client, &format!("a{number}"), &[]).await;
        assert!(seen.starts_with("127.0.0.1:"), "it is the proxy itself, which has no limit: {seen}");
        links.push(peer);
    }
    let (_forger, seen) = place.linked(&client, "forger", &[("X-Forwarded-For", "203.0.113.9")]).await;
    assert_eq!(seen, "203.0.113.9:0", "the page warns of it");
}

#[tokio::test]
async fn haproxy_passes_on_the_stream() {
    let example = example("haproxy", "mode tcp");
    clients_are_known(ProxyKind::Haproxy, &example).await;
    clients_are_known(ProxyKind::Haproxy, &example.replace("send-proxy-v2", "send-proxy")).await;
    clients_are_not_known(ProxyKind::Haproxy, &example).await;
}

#[tokio::test]
async fn haproxy_passes_on_the_request() {
    let example = example("haproxy", "mode http");
    clients_are_known(ProxyKind::Haproxy, &example).await;
    clients_are_not_known(ProxyKind::Haproxy, &example).await;
}

#[tokio::test]
async fn nginx_passes_on_the_stream() {
    let example = example("nginx", "stream {");
    clients_are_known(ProxyKind::Nginx, &example).await;
    clients_are_not_known(ProxyKind::Nginx, &example).await;
}

#[tokio::test]
async fn nginx_passes_on_the_request() {
    let example = example("nginx", "http {");
    clients_are_known(ProxyKind::Nginx, &example).await;
    clients_are_not_known(ProxyKind::Nginx, &example).await;
}

#[tokio::test]
async fn stunnel_passes_on_the_stream() {
    let example = example("ini", "protocol = proxy");
    clients_are_known(ProxyKind::Stunnel, &example).await;
    clients_are_not_known(ProxyKind::Stunnel, &example).await;
}

#[tokio::test]
async fn a_health_check_is_no_fault() {
    let often = example("haproxy", "mode tcp").replace("check ", "check inter 20 ");
    let place = Place::start(ProxyKind::Haproxy, &often).await;
    let client = place.client(CLIENTS[0]).await;
    // Many checks have been made when this is over, and HAProxy sends nobody to a server that fails them.
    for number in 0..20 {
        drop(place.linked(&client, &format!("a{number}"), &[]).await);
        // The next would count as one too many from this address otherwise.
        place.relay.metric_becomes(r#"slipstream_active_connections{kind="application"}"#, 0.0).await;
    }
    for reason in ["proxy_header", "handshake", "refused"] {
        let series = format!(r#"slipstream_connection_errors_total{{reason="{reason}"}}"#);
        assert_eq!(place.relay.metric(&series).await, 0.0, "{reason}");
    }
}
