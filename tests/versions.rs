//! Stores of earlier versions are opened, on every engine, and nothing of them is lost (`tests/versions/README.md`).

#![cfg(test)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use support::{ENGINES, Peer, Relay, assert_whole, counts, eventually, store, store_json};

const QUIET: &str = "--enable-message-logs=false";

/// Unpacks the store of version 1 on this engine.
fn store_of_version_1(folder: &Path, engine: &str) -> PathBuf {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/versions/1/{engine}.tar.gz"));
    let unpacked = Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(folder).status().expect("tar runs");
    assert!(unpacked.success());
    folder.join(engine)
}

/// Takes what `away` is owed, whole and in order, in a relay on this store, which tells of it if it brings the store to
/// another version.
async fn expect_orders(engine: &str, path: &Path, is_upgraded: bool) {
    let relay = Relay::ready(Relay::spawn_over(path, &["--store", engine, QUIET])).await;
    let says = async |what: &str| relay.process.stderr().contains(what).then_some(());
    eventually("the line of the start", || says("started")).await;
    for line in ["bringing the store from version 1 of its tables to version 2", "the store is of version 2"] {
        assert_eq!(says(line).await.is_some(), is_upgraded, "{line}");
    }
    let mut away = Peer::connect(&relay, "id=away").await;
    for order in 20..60 {
        let message = away.take().await;
        let value: Value = serde_json::from_str(&message.raw("value")).expect("JSON");
        let expected = json!({"order": order, "note": "é".repeat(order % 5), "bulk": "x".repeat(200)});
        assert_eq!((message.string("key"), value), ("orders", expected), "{engine}");
    }
    away.silent().await;
    relay.metric_becomes(r#"slipstream_pending_deliveries{peer="away"}"#, 0.0).await;
    assert!(relay.stop().await.success());
}

#[tokio::test]
async fn a_store_of_version_1_is_opened_and_delivers_what_is_owed() {
    for engine in ENGINES {
        let folder = tempfile::tempdir().expect("a folder");
        let path = store_of_version_1(folder.path(), engine);
        expect_orders(engine, &path, true).await;
        assert_whole(&path).await;
        assert_eq!(counts(&path).await["pending"], 0, "{engine}");
    }
}

#[tokio::test]
async fn the_commands_on_whole_stores_take_one_of_version_1() {
    for engine in ENGINES {
        let folder = tempfile::tempdir().expect("a folder");
        let path = store_of_version_1(folder.path(), engine);
        // Before: 60 messages, since those that nobody is owed leave with a purge.
        let stats = store_json("stats", &path).await;
        assert_eq!((&stats["messages"], &stats["pending"], &stats["identities"]), (&60.into(), &40.into(), &60.into()));
        assert_whole(&path).await;
        let from = format!("{engine}:{}", path.display());
        for target in ENGINES {
            let moved = folder.path().join(format!("to-{target}"));
            let to = format!("{target}:{}", moved.display());
            let ended = store(&["migrate", "--from", &from, "--to", &to]).await;
            assert_eq!(ended.code, Some(0), "{from} -> {to}: {}", ended.stderr);
            expect_orders(target, &moved, false).await;
        }
    }
}
