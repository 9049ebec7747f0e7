//! No commit succeeds, since another program holds the database: readiness says so while it lasts.
#![cfg(test)]
#![cfg(feature = "sqlite")]

mod support;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;
use support::{Peer, Relay, assert_has, eventually, get};

/// A program that holds the database until it is dropped.
struct Other(Child);

impl Drop for Other {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).expect("it ends");
    }
}

fn lock(database: &Path) -> Other {
    const LOCK: &str = "import sqlite3, sys, time; \
        database = sqlite3.connect(sys.argv[1]); database.execute('BEGIN IMMEDIATE'); \
        print('locked', flush=True); time.sleep(3600)";
    let mut python = Command::new("python3");
    let python = python.args(["-c", LOCK]).arg(database).stdout(Stdio::piped());
    let mut other = Other(python.spawn().expect("there is python3"));
    let mut said = String::new();
    BufReader::new(other.0.stdout.take().expect("it is piped")).read_line(&mut said).expect("it says something");
    assert_eq!(said, "locked\n");
    other
}

#[tokio::test]
async fn a_relay_whose_commits_do_not_end_is_not_ready_and_alive() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--store", "sqlite"]).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let other = lock(&folder.path().join("store/slipstream.db"));
    sender.send(json!({"type": "EVENT", "messageId": "m1"}).to_string()).await;
    let ready = eventually("the relay not to be ready", async || {
        Some(get(relay.admin, "/readyz").await).filter(|ready| ready.status == 503)
    })
    .await;
    assert_has(&ready.body, ["store failing"]);
    assert_eq!(get(relay.admin, "/healthz").await.status, 200);
    drop(other);
    // However that ended.
    sender.answer().await;
    sender.publish(json!({"type": "EVENT"})).await;
    eventually("the relay to be ready", async || (get(relay.admin, "/readyz").await.status == 200).then_some(())).await;
    assert!(relay.stop().await.success());
}
