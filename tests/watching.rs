//! Those who watch a relay: a server-sent event a second over `/api/v1/events`, and the last hour.

#![cfg(test)]

mod support;

use std::net::SocketAddr;

use serde_json::{Value, json};
use support::{Peer, Relay, eventually, get, within};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;

/// Somebody who watches.
struct Watcher(Lines<BufReader<TcpStream>>);

impl Watcher {
    /// Begins to watch; otherwise the status of the answer.
    async fn begin(admin: SocketAddr) -> Result<Self, String> {
        let mut stream = TcpStream::connect(admin).await.expect("the port is open");
        stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("it reads");
        let mut lines = BufReader::new(stream).lines();
        let status = within("an answer", lines.next_line()).await.expect("it answers").expect("a line");
        if status.contains(" 200 ") { Ok(Self(lines)) } else { Err(status) }
    }

    /// The next picture.
    async fn picture(&mut self) -> Value {
        loop {
            let line = within("a line", self.0.next_line()).await.expect("it goes on").expect("it does not end");
            if let Some(data) = line.strip_prefix("data: ") {
                return serde_json::from_str(data).expect("JSON");
            }
        }
    }
}

#[tokio::test]
async fn a_picture_tells_how_things_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--instance-id=here"]).await;
    let mut app = Peer::connect(&relay, "id=app").await;
    let mut shop = Peer::connect(&relay, "id=shop").await;
    for number in 0..5 {
        shop.publish(json!({"type": "SK", "key": "k", "value": number})).await;
    }
    app.take().await;
    app.take().await;
    let mut watcher = Watcher::begin(relay.admin).await.expect("there is a place");
    let told = |picture: &Value| {
        let (status, peers) = (&picture["status"], picture["peers"].as_array().expect("peers"));
        let of = |id: &str| peers.iter().find(|peer| peer["id"] == id).cloned().unwrap_or_default();
        let (app, shop) = (of("app"), of("shop"));
        json!([
            status["instanceId"],
            status["received"],
            status["delivered"],
            app["backlog"],
            app["delivered"],
            shop["received"]
        ])
    };
    // How it is a second later is told too, without another question.
    let expected = json!(["here", 5, 2, 3, 2, 5]);
    while told(&watcher.picture().await) != expected {}
    app.take().await;
    let expected = json!(["here", 5, 3, 2, 3, 5]);
    while told(&watcher.picture().await) != expected {}

    let history = async || get(relay.admin, "/api/v1/history").await.json();
    let point = || async { history().await["points"].as_array().expect("points").last().cloned() };
    let point = eventually("a point of the history", point).await;
    assert_eq!(history().await["intervalSeconds"], 5);
    assert!(point["at"].as_str().expect("a time").ends_with('Z'), "{point}");
    let has_latency = || async {
        let points = history().await["points"].as_array().expect("points").clone();
        points.iter().any(|point| point["confirm"]["p99"].as_f64() > Some(0.0)).then_some(())
    };
    eventually("how long the confirms took", has_latency).await;
}

/// One connection may take ten seconds; one that watches may stay, and few may.
#[tokio::test]
async fn few_may_watch_and_they_may_stay() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let mut watchers = Vec::new();
    for _ in 0..16 {
        watchers.push(Watcher::begin(relay.admin).await.expect("there is a place"));
    }
    let refused = Watcher::begin(relay.admin).await.err().expect("there is no place");
    assert!(refused.contains(" 503 "), "{refused}");
    assert_eq!(get(relay.admin, "/healthz").await.status, 200, "others are answered");
    let mut last = 0.0;
    for _ in 0..13 {
        let uptime = watchers[0].picture().await["status"]["uptimeSeconds"].as_f64().expect("a number");
        assert!(uptime > last, "{uptime} after {last}");
        last = uptime;
    }
    watchers.pop();
    let place = || async { Watcher::begin(relay.admin).await.ok() };
    eventually("the place of one that left", place).await.picture().await;
}
