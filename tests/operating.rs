//! The commands with which an operator asks a running relay and steers it.

#![cfg(test)]

mod support;

use serde_json::{Value, json};
use support::{Peer, Relay, assert_has, eventually, ran};

/// A relay, and how its commands find it.
struct Operated {
    relay: Relay,
    url: String,
    _folder: tempfile::TempDir,
}

impl Operated {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let flags = ["--instance-id=here", "--ack-timeout=50ms", "--max-message-republish-attempts=0"];
        let relay = Relay::start(folder.path(), &flags).await;
        let url = format!("http://{}", relay.admin);
        Self { relay, url, _folder: folder }
    }

    /// Runs a command: its exit status, and what it printed.
    async fn run(&self, command: &str) -> (Option<i32>, String, String) {
        let arguments: Vec<&str> = command.split(' ').collect();
        ran(&arguments, &[("SLIPSTREAM_ADMIN_URL", &self.url)]).await
    }

    /// What a command prints that does what it is asked to.
    async fn prints(&self, command: &str) -> String {
        let (status, stdout, stderr) = self.run(command).await;
        assert_eq!((status, stderr.as_str()), (Some(0), ""), "{command}");
        stdout
    }

    /// The records that it prints.
    async fn records(&self, command: &str) -> Vec<Value> {
        let printed = self.prints(&format!("{command} --json")).await;
        printed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Waits until so many deliveries were given up.
    async fn gives_up(&self, count: u64) {
        let look = || async { (self.records("status").await[0]["deadLetters"] == count).then_some(()) };
        eventually("the dead letters", look).await;
    }
}

#[tokio::test]
async fn an_operator_finds_a_message_and_delivers_what_was_given_up() {
    let here = Operated::start().await;
    assert_has(&here.prints("status").await, ["relay here", "ready       yes", "No peer has linked yet"]);
    let deaf = Peer::connect(&here.relay, "id=deaf&tags=x").await;
    let mut shop = Peer::connect(&here.relay, "id=shop").await;
    for number in 1..=2 {
        let id = format!("order/{number}");
        shop.publish(json!({"type": "SK", "key": "k\u{1b}[2J", "value": number, "messageId": id})).await;
    }
    here.gives_up(2).await;
    let status = here.prints("status").await;
    assert_has(&status, ["2 up, 0 down, 0 paused", "dead        2", "PEER", "deaf", "application"]);

    let trace = here.prints("trace order/1").await;
    assert_has(&trace, ["message order/1 of singleton", "from shop", "shop > here", "deaf", "dead", "unacknowledged"]);
    assert!(!trace.contains('\u{1b}'), "what a peer says steers no terminal: {trace:?}");
    let traced = &here.records("trace order/1 --group singleton").await[0];
    assert_eq!(traced["deliveries"][0]["state"], "dead");
    let (status, _, told) = here.run("trace nothing").await;
    assert_eq!(status, Some(1));
    assert_has(&told, ["404", "nothing is known of a message nothing"]);

    assert_has(&here.prints("dead-letters groups").await, ["deaf", "unacknowledged", "2"]);
    assert_has(&here.prints("dead-letters list").await, ["order/1", "order/2", "SEQUENCE"]);
    let (status, listed, told) = here.run("dead-letters list --limit 1").await;
    assert_eq!((status, listed.lines().count()), (Some(0), 2));
    assert_has(&told, ["more than these 1"]);
    assert_has(&here.prints("dead-letters show deaf 1").await, ["dead letter 1 of deaf", r#""value":1"#]);
    let exported = here.prints("dead-letters export --peer deaf").await;
    let exported: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(exported.iter().map(|it| it["message"]["value"].clone()).collect::<Vec<_>>(), [1, 2]);

    drop(deaf);
    let mut deaf = Peer::connect(&here.relay, "id=deaf&tags=x").await;
    assert_has(&here.prints("dead-letters redrive --id order/2 --dry-run").await, ["1 dead letters would be redriven"]);
    assert_has(&here.prints("dead-letters redrive --id order/2").await, ["1 of 1 dead letters redriven"]);
    assert_eq!(deaf.take().await.raw("value"), "2");
    assert_has(&here.prints("dead-letters sweep").await, ["1 of 1 dead letters redriven"]);
    let (status, _, told) = here.run("dead-letters sweep --cancel").await;
    assert_eq!(status, Some(1));
    assert_has(&told, ["nothing is being redriven or purged"]);
    let (status, _, told) = here.run("dead-letters redrive").await;
    assert_eq!(status, Some(1));
    assert_has(&told, ["expected peer, reason, messageId, or all=true"]);

    let (status, _, told) = here.run("dead-letters purge --all").await;
    assert_eq!(status, Some(2), "nobody is asked");
    assert_has(&told, ["1 dead letters are removed for good", "--yes"]);
    assert_has(&here.prints("dead-letters purge --all --dry-run").await, ["1 dead letters would be removed"]);
    assert_has(&here.prints("dead-letters purge --all --yes").await, ["1 of 1 dead letters removed"]);
    assert_has(&here.prints("dead-letters list").await, ["There are no such dead letters."]);
}

#[tokio::test]
async fn an_operator_steers_peers_and_the_log() {
    let here = Operated::start().await;
    assert_has(&here.prints("peers list").await, ["The relay remembers no peer."]);
    assert_has(
        &here.prints("peers declare app --tags x,y --group g").await,
        ["peer app", "x, y", "group       g", "down"],
    );
    let mut shop = Peer::connect(&here.relay, "id=shop").await;
    shop.publish(json!({"type": "SK", "key": "k", "value": 1, "targetedTags": ["y"]})).await;
    assert_has(&here.prints("peers show app").await, ["backlog     1, 0 in flight"]);
    assert_has(&here.prints("peers pause app").await, ["paused      yes"]);
    let mut app = Peer::connect(&here.relay, "id=app&tags=x").await;
    app.silent().await;
    assert_has(&here.prints("peers list").await, ["up, paused"]);
    assert_eq!(here.records("peers resume app").await[0]["paused"], false);
    app.take().await;

    assert_has(&here.prints("peers disconnect app").await, ["peer app"]);
    assert_eq!(app.closed().await.0, 1001);
    let down = || async { (here.records("peers show app").await[0]["link"] == "down").then_some(()) };
    eventually("the end of its link", down).await;
    shop.publish(json!({"type": "SK", "key": "k", "value": 1, "targetedTags": ["x"]})).await;
    let (status, _, told) = here.run("peers forget app").await;
    assert_eq!(status, Some(2));
    assert_has(&told, ["app is owed 1 messages, which are lost", "--yes"]);
    assert_has(&here.prints("peers forget app --yes").await, ["app is forgotten, and 1 messages"]);
    let (status, _, told) = here.run("peers show app").await;
    assert_eq!(status, Some(1));
    assert_has(&told, ["nobody is remembered under the id app"]);

    assert_eq!(here.prints("log").await, "messages on, level info");
    assert_eq!(here.prints("log --messages off --level debug").await, "messages off, level debug");
    assert_eq!(here.records("log").await[0], json!({"messageLogs": false, "level": "debug"}));
    let (status, _, told) = ran(&["status", "--admin", "http://127.0.0.1:9"], &[]).await;
    assert_eq!(status, Some(1));
    assert_has(&told, ["http://127.0.0.1:9/api/v1/status"]);
    let (status, _, told) = ran(&["status", "--admin", "relay"], &[]).await;
    assert_eq!(status, Some(2));
    assert_has(&told, ["--admin: "]);
}
