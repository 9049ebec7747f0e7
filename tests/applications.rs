//! Applications on the libraries that people use, npm's `ws` and PyPI's `websockets`: scripts that leave each library's
//! defaults untouched, and the examples of `docs/protocol.md`.
//!
//! The scripts stand in `applications/`. They want node with npm, and python3 with venv; the libraries are installed
//! under the target folder at the first run.

#![cfg(test)]

mod support;

use std::iter;
use std::process::Stdio;

use serde_json::json;
use support::{Peer, Proxy, Relay, npm_workshop, python_workshop, run, within};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{ChildStdout, Command};

/// The id of the relay.
const RELAY: &str = "relay";

#[tokio::test]
async fn an_application_on_npm_ws() {
    let store = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(store.path(), &[]).await;
    let folder = npm_workshop("ws", &["tests/applications/application.mjs"]).await;
    let said = run("node", ["application.mjs", &relay.url()], &folder).await;
    support::assert_has(&said, ["is content"]);
}

#[tokio::test]
async fn an_application_on_pypi_websockets() {
    let store = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(store.path(), &[]).await;
    let folder = python_workshop("websockets", &["tests/applications/application.py"]).await;
    let said = run(folder.join(".venv/bin/python"), ["application.py", &relay.url()], &folder).await;
    support::assert_has(&said, ["is content"]);
}

/// The example of `docs/protocol.md` in this language, with parts of it replaced that must be there.
fn example(language: &str, replaced: &[(&str, &str)]) -> String {
    let page = include_str!("../docs/protocol.md");
    let (_, rest) = page.split_once(&format!("```{language}\n")).expect("the page has the example");
    let (example, _) = rest.split_once("```\n").expect("the example ends");
    replaced.iter().fold(example.to_owned(), |text, (part, by)| {
        assert_eq!(text.matches(part).count(), 1, "{part} stands once in the example");
        text.replace(part, by)
    })
}

/// How long the examples' handler takes over the key `slow`, in seconds: longer than a link may be silent.
const SLOW: &str = "15";

#[tokio::test]
async fn the_typescript_of_the_page_keeps_its_promises() {
    let scene = Scene::new().await;
    let folder = npm_workshop("typescript", &[]).await;
    let pause = format!("if (message.key === 'slow') await new Promise((done) => setTimeout(done, {SLOW} * 1000));");
    let print = "console.log(message.type, message.key, message.value);";
    let slow = format!("{pause} {print}");
    let text = example("ts", &[("ws://127.0.0.1:7171/", &scene.way.url()), (print, &slow)]);
    std::fs::write(folder.join("example.ts"), text).expect("a file");
    let strict = ["--strict", "--module", "nodenext", "--target", "es2022", "--types", "node", "example.ts"];
    run(folder.join("node_modules/.bin/tsc"), strict, &folder).await;
    scene.play("orders-1", Command::new("node").arg("example.js").current_dir(folder)).await;
}

#[tokio::test]
async fn the_python_of_the_page_keeps_its_promises() {
    let scene = Scene::new().await;
    let folder = python_workshop("python", &[]).await;
    let pause = format!("__import__('time').sleep({SLOW} if message.get('key') == 'slow' else 0)");
    let print = r#"print(message["type"], message.get("key"), message.get("value"))"#;
    let slow = format!("{pause}; {print}");
    let text = example("python", &[("ws://127.0.0.1:7171/", &scene.way.url()), (print, &slow)]);
    std::fs::write(folder.join("example.py"), text).expect("a file");
    let python = folder.join(".venv/bin/python");
    scene.play("orders-2", Command::new(python).args(["-u", "example.py"]).current_dir(folder)).await;
}

/// What an example goes through: a relay that soon finds a link silent, and a way to it that can be cut.
struct Scene {
    _store: tempfile::TempDir,
    relay: Relay,
    way: Proxy,
}

impl Scene {
    async fn new() -> Self {
        let store = tempfile::tempdir().expect("a folder");
        let relay = Relay::start(store.path(), &["--instance-id=relay", "--heartbeat=1s", "--idle-timeout=8s"]).await;
        let way = Proxy::start(relay.links).await;
        way.cut();
        Self { _store: store, relay, way }
    }

    async fn play(self, id: &str, example: &mut Command) {
        let mut example = example.stdout(Stdio::piped()).kill_on_drop(true).spawn().expect("it starts");
        let mut lines = BufReader::new(example.stdout.take().expect("it is piped")).lines();
        let mut next = async |wanted: &str| printed(&mut lines, wanted).await;
        // Links anew each time, since nobody answers pings for it meanwhile.
        let watcher = || Peer::connect(&self.relay, "id=watcher&tags=aws");
        drop(watcher().await);

        // Its first message is sent until the link holds.
        self.way.mend();
        next("confirmed order-123-v").await;
        assert_eq!(watcher().await.take().await.string("key"), "order:123");

        // A slow handler costs neither the link nor anything behind it.
        publish_a_slow_one_and_forty(&mut watcher().await).await;
        next("SK slow").await;
        for _ in 0..40 {
            next("SK quick").await;
        }
        self.has_settled_all_on_one_link(id).await;

        // The largest message that there may be is taken. A larger one is set aside, and the link stays.
        let before = || Peer::connect_with(&self.relay, "id=before", &[("Slipstream-Kind", "relay")]);
        before().await.publish(of_size("fits", 1 << 20)).await;
        next("SK fits").await;
        before().await.publish(of_size("too-large", (1 << 20) + 1)).await;
        self.relay.metric_becomes("slipstream_dead_letters", 1.0).await;
        self.has_settled_all_on_one_link(id).await;

        // What is sent while the link is cut comes when it is whole again.
        self.way.cut();
        let meanwhile = json!({"type": "SK", "key": "meanwhile", "value": 1, "targetedTags": ["production"]});
        watcher().await.publish(meanwhile).await;
        self.way.mend();
        next("SK meanwhile").await;
        assert!(self.has_lost_its_link(id), "now it was");
        self.relay.metric_becomes(&owed(id), 0.0).await;
    }

    async fn has_settled_all_on_one_link(&self, id: &str) {
        self.relay.metric_becomes(&owed(id), 0.0).await;
        assert!(!self.has_lost_its_link(id), "the link was lost");
    }

    fn has_lost_its_link(&self, id: &str) -> bool {
        self.relay.process.stderr().contains(&format!("link down peer={id} "))
    }
}

fn owed(id: &str) -> String {
    format!(r#"slipstream_backlog{{peer="{id}"}}"#)
}

async fn publish_a_slow_one_and_forty(sender: &mut Peer) {
    for key in iter::once("slow".to_owned()).chain((0..40).map(|number| format!("quick-{number}"))) {
        let value = "v".repeat(10_000);
        sender.publish(json!({"type": "SK", "key": key, "value": value, "targetedTags": ["production"]})).await;
    }
}

/// Waits until an example prints what begins like this. Until then it prints only that its link was lost.
async fn printed(lines: &mut Lines<BufReader<ChildStdout>>, wanted: &str) {
    loop {
        let line = within(wanted, lines.next_line()).await.expect("it can be read");
        let line = line.unwrap_or_else(|| panic!("the example ended before {wanted}"));
        if line.starts_with(wanted) {
            return;
        }
        assert!(line.starts_with("link lost"), "{wanted} was expected, not {line:.200}");
    }
}

/// A message from the relay `before` that has this many bytes when it comes to an application.
fn of_size(key: &str, bytes: usize) -> String {
    let message = |value: &str| {
        format!(
            r#"{{"type":"SK","key":"{key}","value":"{value}","messageId":"{key}","originInstanceId":"o","sourceInstanceId":"before","messagePath":["o","before","{RELAY}"],"targetedTags":["production"],"clusterGroupId":"g"}}"#
        )
    };
    message(&"v".repeat(bytes - message("").len())).replace(&format!(r#","{RELAY}"]"#), "]")
}
