//! The commands on whole stores, and stores to use them on.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Peer, Process, Relay, bulk_id, fill};

/// The engines that are compiled in.
pub const ENGINES: &[&str] = &[
    #[cfg(feature = "sqlite")]
    "sqlite",
    #[cfg(feature = "redb")]
    "redb",
    #[cfg(feature = "lmdb")]
    "lmdb",
    #[cfg(feature = "sled")]
    "sled",
];

/// One of them.
pub fn an_engine() -> &'static str {
    ENGINES.first().expect("an engine is compiled in")
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// The last of what it said on stderr.
    pub stderr: String,
}

/// Starts `slipstream store` with these arguments.
pub fn spawn_store<A: AsRef<OsStr>>(arguments: &[A]) -> Process {
    let arguments = arguments.iter().map(AsRef::as_ref);
    Process::spawn([OsStr::new("store")].into_iter().chain(arguments), &[])
}

/// Runs `slipstream store` with these arguments to its end.
pub async fn store<A: AsRef<OsStr>>(arguments: &[A]) -> Ended {
    let mut process = spawn_store(arguments);
    let code = process.end().await.code();
    Ended { code, stdout: process.stdout(), stderr: process.stderr() }
}

/// Runs a command that ends well, with `--json`, and answers its record.
pub async fn store_json(command: &str, path: &Path) -> Value {
    let path = path.to_str().expect("a path of UTF-8");
    let ended = store(&[command, "--json", "--storage-path", path]).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{command}: {}", ended.stdout);
    serde_json::from_str(&ended.stdout).expect("one JSON object")
}

/// The counts of a store, without those that another engine may have otherwise.
pub async fn counts(path: &Path) -> Value {
    counts_of_any_engine(store_json("stats", path).await)
}

/// These counts without those that another engine may have otherwise.
pub fn counts_of_any_engine(mut counts: Value) -> Value {
    let fields = counts.as_object_mut().expect("an object");
    assert!(fields.remove("bytes").is_some_and(|bytes| bytes.as_u64().is_some_and(|bytes| bytes > 0)));
    assert!(fields.remove("engine").is_some_and(|engine| engine.is_string()));
    counts
}

/// Asserts that a full check finds nothing.
pub async fn assert_whole(path: &Path) {
    assert_eq!(store_json("check", path).await["defects"], json!([]), "{}", path.display());
}

/// The text of a message of a backlog, for whoever has the tag.
pub fn bulk_message(tag: &str, number: u64) -> String {
    let id = bulk_id(number);
    json!({"type": "EVENT", "messageId": id, "targetedTags": [tag], "value": number}).to_string()
}

/// Makes a store in `folder` with so many messages for the peer `away`, and closes it in order. Answers its path.
pub async fn store_with_backlog(folder: &Path, engine: &str, messages: u64) -> PathBuf {
    let relay = Relay::start(folder, &["--store", engine, "--enable-message-logs=false"]).await;
    drop(Peer::connect(&relay, "id=away&tags=away").await);
    fill(&relay, messages, |number| bulk_message("away", number)).await;
    assert!(relay.stop().await.success());
    folder.join("store")
}

/// The bytes of every file of a store but its locks, ours and LMDB's, by name.
pub fn files(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else if !path.to_string_lossy().ends_with("lock") {
            files.push((path.clone(), std::fs::read(&path).expect("a file")));
        }
    }
    files.sort();
    files
}
