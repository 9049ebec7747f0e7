//! `slipstream store restore`, and folders that hold a store under another name.

#![cfg(test)]

mod support;

use std::fs;
use std::path::Path;

use serde_json::Value;
use support::{
    ENGINES, Peer, Relay, an_engine, assert_has, assert_whole, counts, drain, eventually, files, store,
    store_with_backlog,
};

const QUIET: &str = "--enable-message-logs=false";

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of UTF-8")
}

/// Waits until a relay has said this in its log.
async fn logs(relay: &Relay, said: &str) {
    eventually(said, || async { relay.process.stderr().contains(said).then_some(()) }).await;
}

async fn backed_up(store_path: &Path, backup: &Path) {
    let ended = store(&["backup", "--storage-path", text(store_path), text(backup)]).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn a_backup_is_restored_into_nothing_and_over_a_store() {
    for engine in ENGINES {
        let folder = tempfile::tempdir().expect("a folder");
        let source = store_with_backlog(folder.path(), engine, 500).await;
        let backup = folder.path().join("backups/2026-11-25");
        backed_up(&source, &backup).await;
        let before = files(&backup);
        let target = folder.path().join("below/restored");
        let restored = store(&["restore", text(&backup), "--storage-path", text(&target), "--json"]).await;
        assert_eq!((restored.code, restored.stderr.as_str()), (Some(0), ""), "{engine}");
        let told: Value = serde_json::from_str(&restored.stdout).expect("one JSON object");
        assert_eq!((&told["stats"]["messages"], &told["stats"]["engine"]), (&500.into(), &(*engine).into()));
        assert_whole(&target).await;
        assert_eq!(counts(&target).await, counts(&source).await);
        assert!(files(&backup) == before, "{engine}: the backup is only read");

        // What is there is not written over unless it is told.
        let refused = store(&["restore", text(&backup), "--storage-path", text(&target)]).await;
        assert_eq!(refused.code, Some(1), "{engine}");
        assert_has(&refused.stderr, [text(&target), "--replace"]);
        let relay = Relay::start(folder.path(), &["--store", engine, QUIET]).await;
        drain(Peer::connect(&relay, "id=away&tags=away").await, 500).await;
        let running = store(&["restore", text(&backup), "--storage-path", text(&source), "--replace"]).await;
        assert_eq!(running.code, Some(1), "{engine}");
        assert_has(&running.stderr, ["in use", text(&source)]);
        assert!(relay.stop().await.success());
        let restored = store(&["restore", text(&backup), "--storage-path", text(&source), "--replace"]).await;
        assert_eq!((restored.code, restored.stderr.as_str()), (Some(0), ""), "{engine}");
        assert!(!source.join("restoring").exists());
        let relay = Relay::start(folder.path(), &["--store", engine, QUIET]).await;
        logs(&relay, " owed=500 ").await;
        drain(Peer::connect(&relay, "id=away&tags=away").await, 500).await;
        assert!(relay.stop().await.success());
    }
}

#[tokio::test]
async fn a_backup_that_is_no_use_leaves_what_was_there() {
    for engine in ENGINES {
        let folder = tempfile::tempdir().expect("a folder");
        let source = store_with_backlog(folder.path(), engine, 200).await;
        let backup = folder.path().join("copy");
        backed_up(&source, &backup).await;
        let data = files(&backup).into_iter().map(|(path, _)| path).max_by_key(|path| path.metadata().unwrap().len());
        let data = data.expect("it has data");
        let half = data.metadata().expect("a file").len() / 2;
        fs::File::options().write(true).open(&data).and_then(|file| file.set_len(half)).expect("it is cut short");
        let before = files(&source);
        let refused = store(&["restore", text(&backup), "--storage-path", text(&source), "--replace"]).await;
        assert_eq!(refused.code, Some(1), "{engine}");
        assert_has(&refused.stderr, [text(&backup)]);
        assert!(files(&source) == before, "{engine}: {}", refused.stderr);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let nothing = store(&["restore", text(folder.path()), "--storage-path", text(&folder.path().join("a"))]).await;
    assert_eq!(nothing.code, Some(1));
    assert_has(&nothing.stderr, [text(folder.path()), "a backup"]);
}

#[tokio::test]
async fn a_store_under_another_name_is_no_new_store() {
    let folder = tempfile::tempdir().expect("a folder");
    for engine in ENGINES {
        let (made, data) = (folder.path().join(engine), folder.path().join(format!("{engine}-data")));
        let source = store_with_backlog(&made, engine, 100).await;
        let backup = data.join("store/2026-11-25");
        backed_up(&source, &backup).await;
        for other in ENGINES {
            let mut start = Relay::spawn(&data, &["--store", other, QUIET]);
            assert_eq!(start.end().await.code(), Some(1), "{engine}, started with {other}");
            assert_has(&start.stderr(), [text(&backup), engine, "slipstream store restore"]);
        }
        let restored = store(&["restore", text(&backup), "--storage-path", text(&data.join("store"))]).await;
        assert_eq!((restored.code, restored.stderr.as_str()), (Some(0), ""), "{engine}: what was told works");
        assert_eq!(counts(&data.join("store")).await, counts(&source).await);
        for other in ENGINES.iter().filter(|other| *other != engine) {
            let mut start = Relay::spawn(&data, &["--store", other, QUIET]);
            assert_eq!(start.end().await.code(), Some(1));
            assert_has(&start.stderr(), ["another engine", "SLIPSTREAM_STORE"]);
        }
    }
}

#[tokio::test]
async fn a_start_says_whether_the_store_is_new_and_what_is_wrong_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--store", an_engine(), QUIET]).await;
    logs(&relay, " store=\"new\" peers=0 owed=0 ").await;
    assert!(relay.stop().await.success());
    let relay = Relay::start(folder.path(), &["--store", an_engine(), QUIET]).await;
    logs(&relay, " store=\"found\" peers=0 owed=0 ").await;
    assert!(relay.stop().await.success());

    let file = folder.path().join("file");
    fs::write(&file, "").expect("a file");
    for engine in ENGINES {
        let mut start = Relay::spawn(&file, &["--store", engine, QUIET]);
        assert_eq!(start.end().await.code(), Some(1), "{engine}");
        assert_has(&start.stderr(), [text(&file), "something else has this name"]);
        assert!(!start.stderr().contains("busy"), "{engine}: {}", start.stderr());
    }
}
