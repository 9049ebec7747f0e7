//! Copies of a store, made in the ways in which people copy files, while the relay runs under load and after it. Whatever
//! is started holds everything that was confirmed before the copy began, or is refused with the cause, the path and what to
//! do. Nothing is lost in silence.

#![cfg(test)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use serde_json::{Value, json};
use support::{ENGINES, Event, Peer, Process, Relay, assert_has, event, eventually, store};
use tokio::task::JoinHandle;

/// How many messages are confirmed before the first copy: so many that an engine with a log has moved it.
const BEFORE: u64 = 2_400;

/// How many are confirmed between copies.
const BETWEEN: u64 = 100;

/// The bytes of each.
const BYTES: usize = 4096;

/// Most that are on their way to the relay.
const UNCONFIRMED: u64 = 256;

/// The stores that are tried: an engine, and the name of the store, which may be a file of SQLite's.
fn kinds() -> impl Iterator<Item = (&'static str, &'static str)> {
    let file = ENGINES.contains(&"sqlite").then_some(("sqlite", "orders.db"));
    ENGINES.iter().map(|engine| (*engine, "store")).chain(file)
}

/// Whether the engine keeps a log beside its data.
fn has_log(engine: &str) -> bool {
    engine == "sqlite"
}

/// A relay over the store at this path.
fn spawn(engine: &str, path: &Path) -> Process {
    Relay::spawn_over(path, &["--store", engine, "--enable-message-logs=false"])
}

/// A relay with a peer that is away, and somebody who sends to it without a pause.
struct Busy {
    relay: Relay,
    confirmed: Arc<AtomicU64>,
    load: JoinHandle<()>,
}

impl Busy {
    async fn start(engine: &str, path: &Path) -> Self {
        let relay = Relay::ready(spawn(engine, path)).await;
        drop(Peer::connect(&relay, "id=away&tags=away").await);
        let confirmed = Arc::new(AtomicU64::new(0));
        let Peer { link, .. } = Peer::connect_with(&relay, "id=filler", &[("Slipstream-Accept", "ack-batch")]).await;
        let known = Arc::clone(&confirmed);
        let load = tokio::spawn(async move {
            let (mut reader, mut writer, mut sent) = (link.reader, link.writer, 0);
            loop {
                while sent - known.load(Ordering::Relaxed) < UNCONFIRMED {
                    let value = "x".repeat(BYTES);
                    writer.text(&json!({"type": "EVENT", "targetedTags": ["away"], "value": value}).to_string());
                    sent += 1;
                }
                if writer.flush().await.is_err() {
                    return;
                }
                match event(&mut reader).await {
                    Event::Answer(answer) if answer["type"] == "ACK" => {
                        let more = answer["messageIds"].as_array().map_or(1, |ids| ids.len() as u64);
                        known.fetch_add(more, Ordering::Relaxed);
                    }
                    Event::Closed(..) => return,
                    _ => {}
                }
            }
        });
        let busy = Self { relay, confirmed, load };
        busy.confirms(BEFORE).await;
        busy
    }

    fn confirmed(&self) -> u64 {
        self.confirmed.load(Ordering::Relaxed)
    }

    /// Waits until so many more are confirmed, and answers how many are in all.
    async fn confirms(&self, more: u64) -> u64 {
        let wanted = self.confirmed() + more;
        eventually("messages to be confirmed", || async { (self.confirmed() >= wanted).then_some(()) }).await;
        self.confirmed()
    }

    /// Stops it in order; how many were confirmed.
    async fn stop(self) -> u64 {
        assert!(self.relay.stop().await.success());
        self.load.await.expect("the load ends with its link");
        self.confirmed.load(Ordering::Relaxed)
    }

    /// Kills it; how many were confirmed.
    async fn kill(mut self) -> u64 {
        self.relay.process.kill().await;
        self.load.await.expect("the load ends with its link");
        self.confirmed.load(Ordering::Relaxed)
    }
}

/// The files of a store, by their paths from its folder, in the order of their names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("a folder").flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => files.push(path.strip_prefix(folder).expect("it is in it").to_owned()),
            }
        }
    }
    files.sort();
    files
}

/// Copies files as `rsync -a` does: each under another name first, with its time. What is gone meanwhile is left out.
fn copy(from: &Path, to: &Path, files: &[PathBuf]) {
    for file in files {
        let (source, target) = (from.join(file), to.join(file));
        fs::create_dir_all(target.parent().expect("a folder")).expect("it is made");
        let fresh = target.with_extension("copying");
        let Ok(time) = fs::metadata(&source).and_then(|about| about.modified()) else { continue };
        if fs::copy(&source, &fresh).is_ok() {
            set_time(&fresh, time);
            fs::rename(&fresh, &target).expect("it is named");
        }
    }
}

fn set_time(path: &Path, time: SystemTime) {
    fs::File::options().write(true).open(path).and_then(|file| file.set_modified(time)).expect("it has a time");
}

/// The files of the store `name` in this folder.
fn of_store(folder: &Path, name: &str) -> Vec<PathBuf> {
    let root = if name == "store" { folder.join(name) } else { folder.to_owned() };
    let files = files(&root).into_iter();
    let files = files.map(|file| root.join(file).strip_prefix(folder).expect("below").to_owned());
    files.filter(|file| name == "store" || file.to_string_lossy().starts_with(name)).collect()
}

/// What a start makes of a store: how many messages are in it, or why it is refused.
async fn started(engine: &str, path: &Path) -> Result<u64, String> {
    let text = path.to_str().expect("a path of UTF-8");
    let stats = store(&["stats", "--json", "--storage-path", text, "--store", engine]).await;
    if stats.code == Some(0) {
        let stats: Value = serde_json::from_str(&stats.stdout).expect("one JSON object");
        return Ok(stats["messages"].as_u64().expect("a number"));
    }
    let mut relay = spawn(engine, path);
    assert_eq!(relay.end().await.code(), Some(1), "what a command refuses a relay refuses too: {}", stats.stderr);
    assert_has(&relay.stderr(), [text, "store"]);
    Err(relay.stderr())
}

/// How many are in a closed store: all that were confirmed, and perhaps some whose confirm did not arrive any more.
async fn stored(engine: &str, path: &Path, confirmed: u64) -> u64 {
    let found = started(engine, path).await.expect("a closed store opens");
    assert!(found >= confirmed, "{engine}: {found} of {confirmed}");
    found
}

/// Asserts that there is everything, or a refusal that says what to do.
fn assert_told(what: &str, outcome: &Result<u64, String>, confirmed: u64) {
    match outcome {
        Ok(messages) => assert!(*messages >= confirmed, "{what}: started with {messages} of {confirmed}"),
        Err(text) => assert!(text.contains("slipstream store restore"), "{what}: {text}"),
    }
}

#[tokio::test]
async fn a_copy_of_a_running_store_has_everything_or_is_refused() {
    for (engine, name) in kinds() {
        let folder = tempfile::tempdir().expect("a folder");
        let busy = Busy::start(engine, &folder.path().join(name)).await;
        let all = of_store(folder.path(), name);
        let reversed: Vec<_> = all.iter().rev().cloned().collect();
        let without =
            |ending: &str| all.iter().filter(|file| !file.to_string_lossy().ends_with(ending)).cloned().collect();
        let ways: [(&str, Vec<PathBuf>); 5] = [
            ("by name", all.clone()),
            ("by name, from the last", reversed),
            ("without the lock file", without(".lock")),
            ("without the log", without("-wal")),
            ("the data only", all.iter().filter(|file| is_data(file)).cloned().collect()),
        ];
        for (way, files) in ways {
            let confirmed = busy.confirms(BETWEEN).await;
            let elsewhere = tempfile::tempdir().expect("a folder");
            copy(folder.path(), elsewhere.path(), &files);
            let outcome = started(engine, &elsewhere.path().join(name)).await;
            assert_told(&format!("{engine} in {name}, copied {way}"), &outcome, confirmed);
            assert!(outcome.is_err(), "{engine} in {name}, {way}: nothing tells that it is whole");
        }
        let confirmed = busy.kill().await;
        let found = started(engine, &folder.path().join(name)).await;
        assert!(found.as_ref().is_ok_and(|found| *found >= confirmed), "where it crashed it opens: {found:?}");
    }
}

/// Whether this file holds what is stored, and is not beside it.
fn is_data(file: &Path) -> bool {
    let text = file.to_string_lossy();
    !["-wal", "-shm", "lock"].iter().any(|ending| text.ends_with(ending))
}

#[tokio::test]
async fn a_store_that_is_moved_in_two_passes_has_everything_or_is_refused() {
    for (engine, name) in kinds() {
        let folder = tempfile::tempdir().expect("a folder");
        let busy = Busy::start(engine, &folder.path().join(name)).await;
        let (kept, deleted) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        for elsewhere in [&kept, &deleted] {
            copy(folder.path(), elsewhere.path(), &of_store(folder.path(), name));
        }
        busy.confirms(BETWEEN).await;
        let confirmed = stored(engine, &folder.path().join(name), busy.stop().await).await;
        let closed = of_store(folder.path(), name);
        for elsewhere in [&kept, &deleted] {
            copy(folder.path(), elsewhere.path(), &closed);
        }
        for file in of_store(deleted.path(), name).iter().filter(|file| !closed.contains(file)) {
            fs::remove_file(deleted.path().join(file)).expect("it is removed");
        }
        let whole = started(engine, &deleted.path().join(name)).await;
        assert_eq!(whole, Ok(confirmed), "{engine} in {name}: a copy of the closed store");

        // Without `--delete` the log of the first pass is left.
        let path = kept.path().join(name);
        let outcome = started(engine, &path).await;
        assert_told(&format!("{engine} in {name}, in two passes"), &outcome, confirmed);
        assert_eq!(outcome.is_err(), has_log(engine), "{engine}: {outcome:?}");
        if let Err(text) = outcome {
            let log = of_store(kept.path(), name).into_iter().find(|file| file.to_string_lossy().ends_with("-wal"));
            let log = kept.path().join(log.expect("a log"));
            assert_has(&text, [log.to_str().expect("a path of UTF-8"), "move the log"]);
            fs::rename(&log, folder.path().join("log")).expect("it is moved");
            assert_eq!(started(engine, &path).await, Ok(confirmed), "{engine}: as it was told");
        }
    }
}

#[tokio::test]
async fn a_copy_of_a_closed_store_is_whole_with_or_without_what_is_beside_it() {
    for (engine, name) in kinds() {
        let folder = tempfile::tempdir().expect("a folder");
        let confirmed = Busy::start(engine, &folder.path().join(name)).await.stop().await;
        let confirmed = stored(engine, &folder.path().join(name), confirmed).await;
        let all = of_store(folder.path(), name);
        let data: Vec<_> = all.iter().filter(|file| is_data(file)).cloned().collect();
        for (way, files) in [("whole", all), ("the data only", data)] {
            let elsewhere = tempfile::tempdir().expect("a folder");
            copy(folder.path(), elsewhere.path(), &files);
            let outcome = started(engine, &elsewhere.path().join(name)).await;
            assert_eq!(outcome, Ok(confirmed), "{engine} in {name}, {way}");
        }
    }
}

/// Also if nothing was written since the crash.
#[tokio::test]
async fn a_copy_of_a_store_that_crashed_and_was_closed_in_order_is_whole() {
    for (engine, name) in kinds() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        let confirmed = Busy::start(engine, &path).await.kill().await;
        assert!(Relay::ready(spawn(engine, &path)).await.stop().await.success());
        let elsewhere = tempfile::tempdir().expect("a folder");
        copy(folder.path(), elsewhere.path(), &of_store(folder.path(), name));
        let outcome = started(engine, &elsewhere.path().join(name)).await;
        assert!(outcome.as_ref().is_ok_and(|found| *found >= confirmed), "{engine} in {name}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_backup_in_the_place_of_a_killed_store_is_not_mixed_with_its_log() {
    for (engine, name) in kinds() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        // An old copy, which was closed in order.
        let old = Busy::start(engine, &path).await.stop().await;
        let old = stored(engine, &path, old).await;
        let closed = of_store(folder.path(), name).into_iter().filter(|file| is_data(file)).collect::<Vec<_>>();
        let aside = tempfile::tempdir().expect("a folder");
        copy(folder.path(), aside.path(), &closed);
        let newer = Busy::start(engine, &path).await.kill().await;
        // Written over what is there, as `cp` does, so that the file itself stays.
        for file in &closed {
            let bytes = fs::read(aside.path().join(file)).expect("a file");
            fs::write(folder.path().join(file), bytes).expect("it is written over");
        }
        let outcome = started(engine, &path).await;
        assert_eq!(outcome.is_err(), has_log(engine), "{engine} in {name}: {outcome:?}");
        match outcome {
            Ok(messages) => assert_eq!(messages, old, "{engine}: it is the backup, not the {newer} of the other"),
            Err(text) => assert_has(&text, ["-wal", "does not belong", "slipstream store restore"]),
        }
        let backup = aside.path().join(name);
        let (backup, to) = (backup.to_str().expect("UTF-8"), path.to_str().expect("UTF-8"));
        let restored = store(&["restore", backup, "--storage-path", to, "--replace", "--json"]).await;
        assert_eq!((restored.code, restored.stderr.as_str()), (Some(0), ""), "{engine} in {name}");
        assert_eq!(started(engine, &path).await, Ok(old), "{engine} in {name}: restored");
    }
}

#[tokio::test]
async fn what_is_all_that_is_left_can_be_taken_as_it_is() {
    for (engine, name) in kinds() {
        let folder = tempfile::tempdir().expect("a folder");
        let confirmed = Busy::start(engine, &folder.path().join(name)).await.kill().await;
        // Nobody has it open: the copy is whole, though nothing shows that.
        let elsewhere = tempfile::tempdir().expect("a folder");
        copy(folder.path(), elsewhere.path(), &of_store(folder.path(), name));
        let copied = elsewhere.path().join(name);
        assert_told(&format!("{engine} in {name}"), &started(engine, &copied).await, confirmed);
        let target = elsewhere.path().join("restored");
        let arguments = ["restore", copied.to_str().expect("UTF-8"), "--storage-path", target.to_str().expect("UTF-8")];
        let refused = store(&arguments).await;
        assert_eq!(refused.code, Some(1), "{engine} in {name}");
        assert_has(&refused.stderr, [arguments[1], "--unclean"]);
        let taken = store(&[&arguments[..], &["--unclean"]].concat()).await;
        assert_eq!((taken.code, taken.stderr.as_str()), (Some(0), ""), "{engine} in {name}");
        let found = started(engine, &target).await;
        assert!(found.as_ref().is_ok_and(|found| *found >= confirmed), "{engine} in {name}: {found:?}");
    }
}
