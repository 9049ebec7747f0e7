//! The commands on whole stores, as an operator meets them (OPERATING: "Command line"): looking, checking, rewriting,
//! copying. Moving to another engine is in `store_migration.rs`.

#![cfg(test)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};
use support::{
    ENGINES, Peer, Relay, an_engine, assert_has, assert_whole, bulk_message, counts, drain, files, fill, spawn_store,
    store, store_json, store_with_backlog,
};

const QUIET: &str = "--enable-message-logs=false";

/// What damage spares of a file's beginning.
const HEAD: usize = 8 << 10;

/// Kills of a command in a row.
const KILLS: u32 = 8;

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of UTF-8")
}

#[tokio::test]
async fn a_store_is_counted_and_checked_without_naming_its_engine() {
    for engine in ENGINES {
        let folder = tempfile::tempdir().expect("a folder");
        let path = store_with_backlog(folder.path(), engine, 300).await;
        let mut stats = store_json("stats", &path).await;
        assert!(stats["bytes"].take().as_u64().is_some_and(|bytes| bytes > 300 * 50));
        let expected = json!({"engine": engine, "peers": 2, "messages": 300, "pending": 300, "deadLetters": 0,
                              "identities": 300, "bytes": null});
        assert_eq!(stats, expected);
        let check = store_json("check", &path).await;
        assert_eq!(check, json!({"engine": engine, "path": path, "depth": "full", "defects": []}));
        let table = store(&["stats", "--storage-path", text(&path)]).await;
        assert_has(&table.stdout, ["engine", engine, "dead letters", "300"]);
        let quick = store(&["check", "--depth", "quick", "--storage-path", text(&path)]).await;
        assert_eq!((quick.code, quick.stderr.as_str()), (Some(0), ""));
        assert_has(&quick.stdout, [text(&path), "no defect", "quick"]);
    }
}

#[tokio::test]
async fn where_there_is_no_store_none_is_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let (absent, empty) = (folder.path().join("absent"), folder.path().join("empty"));
    fs::create_dir(&empty).expect("a folder");
    let copy = folder.path().join("copy");
    for path in [&absent, &empty] {
        for command in [&["check"][..], &["stats"], &["compact"], &["backup", text(&copy)]] {
            let ended = store(&[command, &["--storage-path", text(path)]].concat()).await;
            assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{command:?}");
            assert_has(&ended.stderr, [text(path), "there is no store"]);
        }
        let from = format!("{}:{}", an_engine(), text(path));
        let to = format!("{}:{}", an_engine(), text(&copy));
        let ended = store(&["migrate", "--from", &from, "--to", &to]).await;
        assert_eq!(ended.code, Some(1));
        assert_has(&ended.stderr, [text(path), "there is no store"]);
    }
    assert!(!absent.exists() && !copy.exists());
    assert_eq!(fs::read_dir(&empty).expect("a folder").count(), 0);
}

#[tokio::test]
async fn a_store_in_use_is_refused_with_what_to_do_and_its_relay_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[QUIET]).await;
    let (path, copy) = (folder.path().join("store"), folder.path().join("copy"));
    for command in [&["check"][..], &["stats"], &["compact"], &["backup", text(&copy)]] {
        let ended = store(&[command, &["--storage-path", text(&path)]].concat()).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{command:?}");
        assert_has(&ended.stderr, [text(&path), "in use", "stop the relay"]);
        if command[0] == "backup" {
            assert_has(&ended.stderr, ["--admin"]);
        }
    }
    let here = format!("{}:{}", an_engine(), text(&path));
    let elsewhere = format!("{}:{}", an_engine(), text(&copy));
    let ended = store(&["migrate", "--from", &here, "--to", &elsewhere]).await;
    assert_eq!(ended.code, Some(1));
    assert_has(&ended.stderr, [text(&path), "in use"]);
    assert!(!copy.exists());
    Peer::connect(&relay, "id=a").await.publish(json!({"type": "EVENT"})).await;
}

#[tokio::test]
async fn a_wrong_configuration_is_misuse_and_nothing_is_opened() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    for arguments in [
        &["stats", "--storage-path", text(&path), "--store", "oracle"][..],
        &["check", "--config", "/gone/slipstream.toml"],
        &["migrate", "--from", "sqlite", "--to", "sqlite:/b"],
    ] {
        let ended = store(arguments).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}: {}", ended.stderr);
    }
    assert!(!path.exists());
}

/// The largest file is overwritten but for its first bytes, where engines know a file of theirs by.
fn damage(path: &Path) {
    use std::os::unix::fs::FileExt as _;
    let (file, bytes) = files(path).into_iter().max_by_key(|(_, bytes)| bytes.len()).expect("a file");
    let opened = fs::File::options().write(true).open(file).expect("it opens");
    opened.write_all_at(&vec![0xA5; bytes.len() - HEAD], HEAD as u64).expect("it is written");
}

#[tokio::test]
async fn damage_is_a_finding_and_not_a_crash() {
    for engine in ENGINES {
        let folder = tempfile::tempdir().expect("a folder");
        let path = store_with_backlog(folder.path(), engine, 2_000).await;
        damage(&path);
        let before = files(&path);
        let ended = store(&["check", "--json", "--storage-path", text(&path)]).await;
        assert_eq!(ended.code, Some(1), "{engine}: {} {}", ended.stdout, ended.stderr);
        let found: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
        assert!(!found["defects"].as_array().expect("a list").is_empty(), "{engine}: {found}");
        for command in ["stats", "compact"] {
            let ended = store(&[command, "--storage-path", text(&path)]).await;
            assert!(!ended.stderr.contains("panicked"), "{engine} {command}: {}", ended.stderr);
            if command == "compact" {
                assert_eq!(ended.code, Some(1), "{engine}: damage is not carried into a new store");
            }
        }
        let target = folder.path().join("target");
        let (from, to) = (format!("{engine}:{}", text(&path)), format!("{engine}:{}", text(&target)));
        assert_eq!(store(&["migrate", "--from", &from, "--to", &to]).await.code, Some(1), "{engine}");
        let data = |files: Vec<(_, Vec<u8>)>| files.into_iter().map(|(_, bytes)| bytes.len()).max();
        assert_eq!(data(files(&path)), data(before), "{engine}: the damaged store is still there");
    }
}

#[tokio::test]
async fn what_is_no_store_is_a_finding() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notes.db");
    fs::write(&path, "these are no tables".repeat(100)).expect("it is written");
    let ended = store(&["check", "--storage-path", text(&path), "--store", "sqlite"]).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert_has(&ended.stdout, ["notes.db", "1 defect"]);
    assert_eq!(fs::read(&path).expect("a file"), "these are no tables".repeat(100).as_bytes());
}

#[tokio::test]
async fn a_compacted_store_is_smaller_and_delivers_the_same() {
    for engine in ENGINES {
        let folder = tempfile::tempdir().expect("a folder");
        let path = store_with_holes(folder.path(), engine).await;
        let before = counts(&path).await;
        let kept = fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("a name").path());
        let kept = kept.filter(|path| !path.ends_with("slipstream.lock")).map(|data| data.display().to_string());
        let kept: Vec<_> = kept.map(|data| format!("{data}-2026-11-25")).collect();
        kept.iter().for_each(|path| fs::write(path, "a copy of the operator's").expect("it is written"));
        let bytes = store_json("compact", &path).await;
        assert!(!kept.is_empty() && kept.iter().all(|path| Path::new(path).exists()), "{engine}: {kept:?}");
        let of = |field: &str| bytes[field].as_u64().expect("a number");
        assert!(of("bytesAfter") < of("bytesBefore") / 2, "{engine}: {bytes}");
        assert_eq!(counts(&path).await, before);
        assert_whole(&path).await;
        assert!(!path.join("compacting").exists());
        let relay = Relay::start(folder.path(), &["--store", engine, QUIET]).await;
        let kept = Peer::connect(&relay, "id=away&tags=away").await.take_ids(500).await;
        assert!(kept.iter().enumerate().all(|(number, id)| *id == format!("kept-{number}")), "{kept:?}");
        assert!(relay.stop().await.success());
    }
}

/// A store in which many messages were, and few are: 500 for the peer `away`.
async fn store_with_holes(folder: &Path, engine: &str) -> PathBuf {
    let relay = Relay::start(folder, &["--store", engine, QUIET]).await;
    drop(Peer::connect(&relay, "id=gone&tags=gone").await);
    drop(Peer::connect(&relay, "id=away&tags=away").await);
    fill(&relay, 8_000, |number| bulk_message("gone", number).replace('{', &format!("{{\"padding\":\"{:600}\",", "")))
        .await;
    drain(Peer::connect(&relay, "id=gone&tags=gone").await, 8_000).await;
    let kept = |number| json!({"type": "EVENT", "messageId": format!("kept-{number}"), "targetedTags": ["away"]});
    fill(&relay, 500, |number| kept(number).to_string()).await;
    relay.metric_becomes(r#"slipstream_backlog{peer="gone"}"#, 0.0).await;
    assert!(relay.stop().await.success());
    folder.join("store")
}

#[tokio::test]
async fn a_compaction_that_is_killed_leaves_a_whole_store() {
    let mut rng = Rng::new();
    for engine in ENGINES {
        let folder = tempfile::tempdir().expect("a folder");
        let path = store_with_backlog(folder.path(), engine, 20_000).await;
        let before = counts(&path).await;
        let began = Instant::now();
        store_json("compact", &path).await;
        let took = u64::try_from(began.elapsed().as_micros()).expect("a short time");
        for kill in 1..=KILLS {
            let mut process = spawn_store(&["compact", "--storage-path", text(&path)]);
            tokio::time::sleep(Duration::from_micros(rng.u64(0..took))).await;
            process.kill().await;
            println!("{engine}, kill {kill}: a staging folder is left: {}", path.join("compacting").exists());
            assert_eq!(counts(&path).await, before, "{engine}, kill {kill}");
            assert_whole(&path).await;
        }
        store_json("compact", &path).await;
        assert!(!path.join("compacting").exists(), "what was left is gone");
        assert_eq!(counts(&path).await, before);
    }
}

#[tokio::test]
async fn a_backup_is_a_store_and_nothing_is_written_over() {
    for engine in ENGINES {
        let folder = tempfile::tempdir().expect("a folder");
        let path = store_with_backlog(folder.path(), engine, 1_000).await;
        let before = files(&path);
        let copy = folder.path().join("backups/store");
        let ended = store(&["backup", "--json", "--storage-path", text(&path), text(&copy)]).await;
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{engine}");
        let told: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
        assert_eq!((&told["engine"], &told["path"]), (&json!(engine), &json!(copy)));
        assert_eq!(counts(&copy).await, counts(&path).await);
        assert_whole(&copy).await;
        let again = store(&["backup", "--storage-path", text(&path), text(&copy)]).await;
        assert_eq!(again.code, Some(1));
        assert_has(&again.stderr, [text(&copy)]);
        if *engine == "sqlite" {
            assert!(files(&path) == before, "the store is as it was, byte for byte");
        }
        let relay = Relay::start(&folder.path().join("backups"), &["--store", engine, QUIET]).await;
        drain(Peer::connect(&relay, "id=away&tags=away").await, 1_000).await;
    }
}

#[tokio::test]
async fn a_backup_that_is_killed_leaves_a_whole_copy_or_none() {
    let mut rng = Rng::new();
    for (engine, ending) in ENGINES.iter().map(|engine| (*engine, "")).chain([("sqlite", ".db")]) {
        if !ENGINES.contains(&engine) {
            continue;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = store_with_backlog(folder.path(), engine, 20_000).await;
        let before = counts(&path).await;
        let copies = folder.path().join("copies");
        let began = Instant::now();
        let copy = |name: &str| copies.join(format!("{name}{ending}"));
        let back_up = |copy: PathBuf| ["backup".into(), "--storage-path".into(), path.clone(), copy];
        assert_eq!(store(&back_up(copy("first"))).await.code, Some(0));
        let took = u64::try_from(began.elapsed().as_micros()).expect("a short time");
        let mut interrupted = 0;
        for kill in 1..=KILLS {
            let copy = copy(&format!("{kill}"));
            let mut process = spawn_store(&back_up(copy.clone()));
            tokio::time::sleep(Duration::from_micros(rng.u64(0..took))).await;
            process.kill().await;
            let left = copies.join(format!("{kill}{ending}.unfinished"));
            println!("{engine}{ending}, kill {kill}: half: {}, whole: {}", left.exists(), copy.exists());
            if !copy.exists() {
                interrupted += u32::from(left.exists());
                let again = store(&back_up(copy.clone())).await;
                assert_eq!((again.code, again.stderr.as_str()), (Some(0), ""), "{engine}, kill {kill}");
                assert!(!left.exists(), "{engine}, kill {kill}: what was left is gone");
            }
            assert_eq!(counts(&copy).await, before, "{engine}, kill {kill}");
            assert_whole(&copy).await;
        }
        println!("{engine}{ending}: {interrupted} of {KILLS} were interrupted while they copied");
        assert_eq!(counts(&path).await, before);
    }
}

#[tokio::test]
async fn a_backup_is_no_part_of_a_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = store_with_backlog(folder.path(), an_engine(), 10).await;
    for target in ["store/copy", "store/../store/compacting", "slipstream.other", "copy.unfinished"] {
        let target = folder.path().join(target);
        let ended = store(&["backup", "--storage-path", text(&path), text(&target)]).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{}", target.display());
        assert_has(&ended.stderr, [text(&target), "expected"]);
        assert!(!target.exists());
    }
    assert_whole(&path).await;
}
