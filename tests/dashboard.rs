//! The dashboard in a real browser, Debian's Chromium, driven by the scripts in `dashboard/`.
//!
//! Pictures of it are kept in `dashboard/` under the target folder.

#![cfg(test)]

mod support;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use support::{Peer, Process, Relay, eventually, get, npm_workshop_of, put, run, within};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Command;
use tokio_util::task::AbortOnDropHandle;

const FILES: [&str; 3] = ["tests/dashboard/browser.mjs", "tests/dashboard/work.mjs", "tests/dashboard/token.mjs"];

/// A stream of messages from `shop` for whoever has the tag `eu`, while it is not dropped.
fn traffic(mut shop: Peer) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        for number in 0_u64.. {
            pace.tick().await;
            let message = json!({"type": "SK", "key": "price", "value": number, "targetedTags": ["eu"]});
            shop.publish(message).await;
        }
    }))
}

/// Acknowledges whatever comes.
fn takes_all(mut peer: Peer) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            peer.take().await;
        }
    }))
}

#[tokio::test]
async fn an_operator_works_in_a_browser() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--instance-id=relay-here"]).await;
    let billing = takes_all(Peer::connect(&relay, "id=billing&tags=eu").await);
    let declared = put(relay.admin, "/api/v1/peers/away", r#"{"tags":["eu"]}"#).await;
    assert_eq!(declared.status, 201);
    let mut shop = Peer::connect(&relay, "id=shop").await;
    let mut warehouse = Peer::connect(&relay, "id=warehouse&tags=stock").await;
    for number in 1..=3 {
        let text = format!(
            r#"{{"type":"SK","key":"k{number}","value":12345678901234567890.10,"targetedTags":["stock"],"messageId":"stock-{number}"}}"#
        );
        shop.publish(text).await;
        let id = warehouse.message().await.id().to_owned();
        warehouse.send(json!({"type": "NACK", "messageId": id, "reason": "not today", "code": "invalid"})).await;
    }
    let dead = || async { (get(relay.admin, "/api/v1/status").await.json()["deadLetters"] == 3).then_some(()) };
    eventually("the dead letters", dead).await;
    shop.publish(json!({"type": "SK", "key": "k", "value": 1, "targetedTags": ["eu"], "messageId": "the-one"})).await;
    let traffic = traffic(shop);

    let workshop = npm_workshop_of("tests/dashboard", "dashboard-driver", &FILES).await;
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder").join("dashboard");
    std::fs::create_dir_all(&pictures).expect("a folder");
    let origin = format!("http://{}", relay.admin);
    let pictures = pictures.display().to_string();
    let works = run("node", ["work.mjs", &origin, "the-one", &pictures], &workshop);
    let redriven = async {
        assert_eq!(warehouse.take().await.id(), "stock-1", "by click");
        let ids = [warehouse.message().await.id().to_owned(), warehouse.message().await.id().to_owned()];
        assert_eq!(ids, ["stock-2", "stock-3"], "in order");
        let is_told = || async { (get(relay.admin, "/api/v1/peers/refuse-them").await.status == 200).then_some(()) };
        eventually("the word to refuse them", is_told).await;
        for id in ids {
            warehouse.send(json!({"type": "NACK", "messageId": id, "reason": "again", "code": "invalid"})).await;
        }
        for number in 2..=3 {
            assert_eq!(warehouse.take().await.id(), format!("stock-{number}"), "in order");
        }
        warehouse
    };
    let (_, _warehouse) = tokio::join!(works, redriven);
    drop((traffic, billing));
}

#[tokio::test]
async fn a_browser_without_a_token_and_a_relay_that_goes_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = support::written(
        folder.path(),
        "relay.toml",
        "admin_token = \"the-acting-token-0123456789\"\nadmin_read_token = \"the-looking-token-0123456789\"\n",
    );
    let mut relay = Relay::start(folder.path(), &["--config", &file]).await;
    drop(Peer::connect(&relay, "id=app").await);
    let workshop = npm_workshop_of("tests/dashboard", "dashboard-driver", &FILES).await;
    let mut script = Command::new("node")
        .args(["token.mjs", &format!("http://{}", relay.admin), "the-looking-token-0123456789"])
        .arg("the-acting-token-0123456789")
        .current_dir(&workshop)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node is there");
    let mut stderr = script.stderr.take().expect("it is piped");
    let said = tokio::spawn(async move {
        let mut said = String::new();
        stderr.read_to_string(&mut said).await.map(|_| said)
    });
    let mut lines = BufReader::new(script.stdout.take().expect("it is piped")).lines();
    while let Some(line) = within("a line of the script", lines.next_line()).await.expect("it is text") {
        match line.as_str() {
            "gone?" => relay.process.kill().await,
            "back?" => {
                let (port, store) = (relay.admin.port().to_string(), folder.path().join("store"));
                let flags = ["--listen=127.0.0.1:0", "--config", &file, "--metrics-port", &port];
                let store = ["--storage-path", store.to_str().expect("it is text")];
                let process = Process::spawn(["serve"].iter().chain(&flags).chain(&store), &[]);
                relay = Relay::ready(process).await;
            }
            other => println!("{other}"),
        }
    }
    let status = within("the end of the script", script.wait()).await.expect("it ends");
    assert!(status.success(), "{}", said.await.expect("it ends").expect("it is text"));
}
