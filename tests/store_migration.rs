//! Moving a store to another engine: everything arrives, also through kills, and a relay on the target delivers what is
//! owed.

#![cfg(test)]

mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};
use support::{
    ENGINES, Ended, FILLING, Peer, Relay, an_engine, assert_delivers_everything, assert_has, assert_whole, counts,
    drain, files, fill_with_everything, spawn_store, store, store_with_backlog,
};

const QUIET: &str = "--enable-message-logs=false";

/// Kills of a migration in a row.
const KILLS: u32 = 8;

fn place(engine: &str, path: &Path) -> String {
    format!("{engine}:{}", path.to_str().expect("a path of UTF-8"))
}

async fn migrate(from: &str, to: &str) -> Ended {
    store(&["migrate", "--json", "--from", from, "--to", to]).await
}

async fn migrated(from: &str, to: &str) -> Value {
    let ended = migrate(from, to).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{from} -> {to}: {}", ended.stdout);
    serde_json::from_str(&ended.stdout).expect("one JSON object")
}

#[tokio::test]
async fn everything_moves_between_any_two_engines() {
    for from in ENGINES {
        let folder = tempfile::tempdir().expect("a folder");
        let flags = [&["--store", from][..], &FILLING].concat();
        let id = fill_with_everything(Relay::start(folder.path(), &flags).await).await;
        let source = folder.path().join("store");
        assert_whole(&source).await;
        let (expected, before) = (counts(&source).await, files(&source));
        assert_eq!((&expected["deadLetters"], &expected["peers"]), (&json!(1), &json!(6)), "{expected}");
        for to in ENGINES {
            let target = folder.path().join(format!("to-{to}")).join("store");
            let told = migrated(&place(from, &source), &place(to, &target)).await;
            assert_eq!((&told["from"]["engine"], &told["to"]["engine"]), (&json!(from), &json!(to)));
            assert_eq!(told["stats"]["pending"], expected["pending"]);
            assert_eq!(counts(&target).await, expected, "{from} -> {to}");
            assert_whole(&target).await;
            // Back again it is the same, row by row: each migration compares them.
            let back = folder.path().join(format!("back-from-{to}"));
            let again = migrated(&place(to, &target), &place(from, &back)).await;
            assert_eq!((&again["rows"], &again["rowBytes"]), (&told["rows"], &told["rowBytes"]));
            let moved = folder.path().join(format!("to-{to}"));
            assert_delivers_everything(Relay::start(&moved, &["--store", to, QUIET]).await, &id).await;
        }
        assert_eq!(counts(&source).await, expected, "{from}: the source stays");
        if matches!(*from, "sqlite" | "lmdb") {
            assert!(files(&source) == before, "{from}: the source is as it was, byte for byte");
        }
        assert_delivers_everything(Relay::start(folder.path(), &["--store", from, QUIET]).await, &id).await;
    }
}

#[tokio::test]
async fn a_target_with_a_store_is_refused_and_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = an_engine();
    let source = store_with_backlog(folder.path(), engine, 50).await;
    let other = folder.path().join("other");
    let target = store_with_backlog(&other, engine, 70).await;
    let expected = counts(&target).await;
    for to in ENGINES {
        let refused = migrate(&place(engine, &source), &place(to, &target)).await;
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""), "{to}");
        assert_has(&refused.stderr, [target.to_str().expect("UTF-8"), "expected no store"]);
    }
    assert_eq!(counts(&target).await, expected);
    let itself = migrate(&place(engine, &source), &place(engine, &folder.path().join(".").join("store"))).await;
    assert_eq!(itself.code, Some(1));
    assert_has(&itself.stderr, ["both the source and the target"]);
    assert_eq!(counts(&source).await["pending"], 50);
}

#[tokio::test]
async fn a_migration_that_is_killed_is_recognised_and_starts_again() {
    let mut rng = Rng::new();
    for (from, to) in ENGINES.iter().zip(ENGINES.iter().cycle().skip(1)) {
        let folder = tempfile::tempdir().expect("a folder");
        let source = store_with_backlog(folder.path(), from, 20_000).await;
        let (expected, before) = (counts(&source).await, files(&source));
        let (first, target) = (folder.path().join("first"), folder.path().join("second/store"));
        let began = Instant::now();
        migrated(&place(from, &source), &place(to, &first)).await;
        let took = u64::try_from(began.elapsed().as_micros()).expect("a short time");
        let mut halves = 0;
        for kill in 1..=KILLS {
            let arguments = ["migrate", "--from", &place(from, &source), "--to", &place(to, &target)];
            let mut process = spawn_store(&arguments);
            tokio::time::sleep(Duration::from_micros(rng.u64(0..took))).await;
            process.kill().await;
            let is_half = target.join("migrating").exists() && has_no_store(&target);
            println!("{from} -> {to}, kill {kill}: half a migration is left: {is_half}");
            if is_half {
                halves += 1;
                let mut serve = Relay::spawn(&folder.path().join("second"), &["--store", to]);
                assert_eq!(serve.end().await.code(), Some(1), "half a store is not served");
                assert_has(&serve.stderr(), ["store migrate", "interrupted"]);
                let look = store(&["stats", "--store", to, "--storage-path", target.to_str().expect("UTF-8")]).await;
                assert_eq!(look.code, Some(1));
                assert_has(&look.stderr, ["interrupted"]);
            } else if !has_no_store(&target) {
                assert_eq!(counts(&target).await, expected, "it is whole, or it is none");
                assert_whole(&target).await;
                fs::remove_dir_all(&target).expect("it is removed");
            }
            assert_eq!(counts(&source).await, expected);
        }
        assert!(halves > 0, "no kill fell into the migration");
        migrated(&place(from, &source), &place(to, &target)).await;
        assert!(!target.join("migrating").exists());
        if matches!(*from, "sqlite" | "lmdb") {
            assert!(files(&source) == before, "{from}: the source is as it was, byte for byte");
        }
        let relay = Relay::start(&folder.path().join("second"), &["--store", to, QUIET]).await;
        drain(Peer::connect(&relay, "id=away&tags=away").await, 20_000).await;
    }
}

/// Whether no data of an engine are in a folder.
fn has_no_store(path: &Path) -> bool {
    let Ok(entries) = fs::read_dir(path) else { return true };
    entries.flatten().all(|entry| {
        let name = entry.file_name();
        !name.to_string_lossy().starts_with("slipstream.") || name == "slipstream.lock"
    })
}
