//! Stores with many messages pending that are opened again, on every engine, after a kill in the midst of commits: what
//! was confirmed is there, to the message.
//!
//! `SLIPSTREAM_REOPEN_PENDING=1000000` is a long backlog.

#![cfg(test)]

mod support;

use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use slipstream::Settings;
use slipstream::backend::{self, EMBEDDED};
use slipstream::config::{EmbeddedEngine, StoreConfig};
use slipstream::store::{Depth, Durability, PeerId};
use support::within;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// Messages that are pending in CI.
const SHORT: u64 = 20_000;

/// Commits that are confirmed at least when the second kill comes, and most that are made if it does not.
const COMMITS: u64 = 5;
const MOST_COMMITS: u64 = 500;

/// The process that has the store.
struct Holder {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Holder {
    async fn start(engine: EmbeddedEngine, path: &Path, messages: u64) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_slipstream"))
            .args(["bench", "store-worker", "--durability", "full", "--engine", engine.name(), "--path"])
            .arg(path)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let task = json!({"Fill": {"messages": messages}}).to_string() + "\n";
        // Its stdin stays open: it would end otherwise.
        let stdin = process.stdin.as_mut().expect("it is piped");
        stdin.write_all(task.as_bytes()).await.expect("it reads");
        Self { process, lines }
    }

    async fn answer(&mut self) -> Option<Value> {
        let line = within("an answer", self.lines.next_line()).await.expect("it can be read")?;
        let answer: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(answer["Failed"], Value::Null, "{answer}");
        Some(answer)
    }

    /// Waits until that many messages are confirmed, kills it, and answers how many were confirmed.
    async fn kill_after(mut self, messages: u64) -> u64 {
        let mut confirmed = 0;
        while confirmed < messages {
            let answer = self.answer().await.expect("it goes on");
            confirmed = answer["Committed"]["messages"].as_u64().unwrap_or(confirmed);
        }
        self.process.kill().await.expect("it is killed");
        // What it had said before it died.
        while let Some(answer) = self.answer().await {
            confirmed = answer["Committed"]["messages"].as_u64().unwrap_or(confirmed);
        }
        confirmed
    }
}

/// Opens the store, and answers how many messages are pending: by its count, and by reading them all.
async fn count(engine: EmbeddedEngine, path: &Path) -> u64 {
    let start = Instant::now();
    let config = StoreConfig::Files { engine, path: path.to_owned(), durability: Durability::Full };
    let store = backend::open(&config).await.expect("it opens");
    let took = start.elapsed();
    let stats = store.stats().await.expect("it counts");
    println!("{engine}: {} pending, opened in {took:?}", stats.pending);
    assert_eq!((stats.messages, stats.identities), (stats.pending, stats.pending), "{engine}: {stats:?}");
    let away = PeerId::new("away").expect("an id");
    let limit = Settings::default().stages.page;
    let (mut read, mut after) = (0, None);
    loop {
        let page = store.pending(&away, after, limit).await.expect("it reads");
        for item in &page.items {
            assert!(after < Some(item.sequence) && item.text.len() == 550, "{engine}: {item:?} after {after:?}");
            after = Some(item.sequence);
        }
        read += page.items.len() as u64;
        if !page.more {
            break;
        }
    }
    assert_eq!(read, stats.pending, "{engine}");
    assert_eq!(store.check(Depth::Quick).await.expect("it looks"), [], "{engine}");
    store.close().await.expect("it closes");
    stats.pending
}

#[tokio::test]
async fn a_long_backlog_is_there_to_the_message_after_kills() {
    let messages = support::number_from_environment("SLIPSTREAM_REOPEN_PENDING").unwrap_or(SHORT);
    for &engine in EMBEDDED {
        let folder = tempfile::tempdir().expect("a folder");
        // The first is killed when all is stored: nothing is under way, and the count is exact.
        let confirmed = Holder::start(engine, folder.path(), messages).await.kill_after(messages).await;
        assert_eq!(confirmed, messages);
        assert_eq!(count(engine, folder.path()).await, messages, "{engine}");
        // The second is killed in the midst of commits: the one under way is there whole, or not at all.
        let batch = Settings::default().stages.batch_operations as u64;
        let holder = Holder::start(engine, folder.path(), MOST_COMMITS * batch).await;
        let confirmed = messages + holder.kill_after(COMMITS * batch).await;
        let pending = count(engine, folder.path()).await;
        assert!([confirmed, confirmed + batch].contains(&pending), "{engine}: {pending}, {confirmed} confirmed");
        assert_eq!(count(engine, folder.path()).await, pending, "{engine}, after an orderly close");
    }
}
