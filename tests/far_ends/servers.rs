//! Libraries as servers that a relay dials with a certificate, which they require.

use std::process::Stdio;

use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::software;
use crate::support::{Files, Peer, Relay, within};

/// The servers: their names here and in the documentation, what runs each, and its kind in `server.mjs`.
pub(super) const SERVERS: [(&str, &str, &str); 3] =
    [("`ws` on Node", "node", "ws"), ("`ws` in Bun", "bun", "ws"), ("`Bun.serve`", "bun", "bun")];

/// A process with a server for each of some certificates.
pub(super) struct Servers {
    ports: Map<String, Value>,
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Servers {
    /// Starts them. A name with a `+` requires a certificate of its clients.
    pub(super) async fn start(files: &Files, name: &str, certificates: &[&str]) -> Self {
        let (_, runtime, kind) = SERVERS.into_iter().find(|(each, ..)| *each == name).expect("a server of the list");
        let mut command: Command = software::javascript(runtime, "server.mjs").await;
        command.arg(kind).arg(files.folder()).args(certificates);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let ports = serde_json::from_str(&next(&mut lines).await).expect("an object of ports");
        Self { ports, lines, _child: child }
    }

    /// Where the server with this certificate is.
    pub(super) fn url(&self, certificate: &str, host: &str) -> String {
        format!("wss://{host}:{}/", self.ports[certificate])
    }
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> String {
    within("a line of the servers", lines.next_line()).await.expect("it can be read").expect("they run")
}

/// A relay dials it: either end sends a message and acknowledges the other's.
async fn talks(name: &str) {
    let files = Files::usual();
    let mut servers = Servers::start(&files, name, &["relay+"]).await;
    let url = servers.url("relay+", "127.0.0.1") + "talk";
    let [ca, cert, key] = ["ca.pem", "machine-7.pem", "machine-7.key"].map(|name| files.text(name));
    let peers = json!([{"url": url, "id": "server", "ca": ca, "cert": cert, "key": key}]).to_string();
    let relay = Relay::start(files.folder(), &["--url-config", &peers]).await;
    relay.metric_becomes("slipstream_active_connections{kind=\"application\"}", 1.0).await;
    let mut peer = Peer::connect(&relay, "id=app").await;
    peer.publish(json!({"type": "SK", "key": "out", "value": 1, "messageId": "of-app"})).await;
    let mut expected = vec!["relay+ ACK of-server", "relay+ SK of-app"];
    // Only Node tells a server whose certificate it was shown.
    expected.extend(name.ends_with("Node").then_some("relay+ was shown machine-7"));
    let mut seen = Vec::new();
    for _ in &expected {
        seen.push(next(&mut servers.lines).await);
    }
    seen.sort();
    assert_eq!(seen, expected);
    relay.metric_becomes("slipstream_backlog{peer=\"server\"}", 0.0).await;
}

#[tokio::test]
async fn npm_ws_on_node() {
    talks("`ws` on Node").await;
}

#[tokio::test]
async fn ws_in_bun() {
    talks("`ws` in Bun").await;
}

#[tokio::test]
async fn bun() {
    talks("`Bun.serve`").await;
}
