//! Backups of a running relay, through its admin port.

#![cfg(test)]

mod support;

use std::path::Path;

use serde_json::{Value, json};
use support::{
    ENGINES, Peer, Relay, assert_has, assert_whole, bulk_message, counts, drain, fill, store, store_json,
    store_with_backlog, within,
};

const QUIET: &str = "--enable-message-logs=false";

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of UTF-8")
}

async fn post(relay: &Relay, body: &str) -> support::Response {
    support::request(relay.admin, "POST", "/api/v1/backup", "Content-Type: application/json\r\n", body).await
}

#[tokio::test]
async fn a_running_relay_makes_a_backup_and_goes_on() {
    for engine in ENGINES {
        let folder = tempfile::tempdir().expect("a folder");
        let backups = folder.path().join("backups");
        let relay = Relay::start(folder.path(), &["--store", engine, QUIET, "--backup-path", text(&backups)]).await;
        assert_eq!(support::get(relay.admin, "/api/v1/backup").await.status, 404, "none was begun");
        drop(Peer::connect(&relay, "id=away&tags=away").await);
        fill(&relay, 5_000, |number| bulk_message("away", number)).await;
        let admin = format!("http://{}", relay.admin);
        let arguments = ["backup", "--json", "--admin", &admin, "store"];
        // Others send meanwhile, and go on until the backup is there.
        let mut traffic = Peer::connect(&relay, "id=traffic").await;
        let mut number = 5_000;
        let backup = store(&arguments);
        tokio::pin!(backup);
        let ended = loop {
            tokio::select! {
                ended = &mut backup => break ended,
                _ = traffic.publish(bulk_message("away", number)) => number += 1,
            }
        };
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{engine}");
        assert!(number > 5_000, "messages were confirmed meanwhile");
        let told: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
        assert_eq!((&told["path"], &told["state"]), (&json!(backups.join("store")), &json!("done")));

        let copy = backups.join("store");
        assert_whole(&copy).await;
        let messages = store_json("stats", &copy).await["messages"].as_u64().expect("a number");
        assert!((5_000..=number + 1).contains(&messages), "{messages} of {number}");
        let restored = Relay::start(&backups, &["--store", engine, QUIET]).await;
        drain(Peer::connect(&restored, "id=away&tags=away").await, messages).await;
        assert!(relay.stop().await.success());
    }
}

#[tokio::test]
async fn a_backup_is_refused_where_it_may_not_be_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[QUIET]).await;
    let refused = post(&relay, r#"{"name":"one"}"#).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (403, &json!("forbidden")));
    assert_has(&refused.body, ["SLIPSTREAM_BACKUP_PATH"]);
    let ended = store(&["backup", "--admin", &format!("http://{}", relay.admin), "one"]).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    assert_has(&ended.stderr, ["403", "SLIPSTREAM_BACKUP_PATH"]);
    assert!(relay.stop().await.success());

    let backups = folder.path().join("backups");
    let relay = Relay::start(folder.path(), &[QUIET, "--backup-path", text(&backups)]).await;
    for body in [r#"{"name":"../one"}"#, r#"{"name":"/tmp/one"}"#, r#"{"name":".one"}"#, r#"{"path":"one"}"#, "{}"] {
        assert_eq!(post(&relay, body).await.status, 400, "{body}");
    }
    for body in [r#"{"name":"slipstream.mdb"}"#, r#"{"name":"one.unfinished"}"#] {
        assert_eq!(post(&relay, body).await.status, 400, "{body}");
    }
    std::fs::create_dir_all(backups.join("one")).expect("a folder");
    assert_eq!(post(&relay, r#"{"name":"one"}"#).await.status, 409);
    assert_eq!(support::request(relay.admin, "DELETE", "/api/v1/backup", "", "").await.status, 405);
    let elsewhere = "Content-Type: application/json\r\nOrigin: http://evil.example\r\n";
    let crossed = support::request(relay.admin, "POST", "/api/v1/backup", elsewhere, r#"{"name":"two"}"#).await;
    assert_eq!(crossed.status, 403);
    assert!(!backups.join("two").exists());
}

#[tokio::test]
async fn a_folder_for_backups_within_the_store_is_a_contradiction() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("below")).expect("a folder");
    std::os::unix::fs::symlink(folder.path(), folder.path().join("below/link")).expect("a link");
    for inside in ["store/backups", "store", "below/link/store", "below/../store/backups"] {
        let inside = folder.path().join(inside);
        let mut process = Relay::spawn(folder.path(), &["--backup-path", text(&inside)]);
        assert_eq!(process.end().await.code(), Some(2), "{}", inside.display());
        assert_has(&process.stderr(), ["SLIPSTREAM_BACKUP_PATH", "SLIPSTREAM_STORAGE_PATH"]);
    }
}

/// Whether something was written in this folder. What is there may go meanwhile.
fn has_bytes(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?))).any(|(path, about)| match about.is_dir() {
        true => has_bytes(&path),
        false => about.len() > 0,
    })
}

#[tokio::test]
async fn a_relay_that_is_killed_leaves_a_whole_backup_or_none() {
    for engine in ENGINES {
        let folder = tempfile::tempdir().expect("a folder");
        let (backups, store) = (folder.path().join("backups"), store_with_backlog(folder.path(), engine, 10_000).await);
        let (copy, half) = (backups.join("copy"), backups.join("copy.unfinished"));
        let flags = ["--store", engine, QUIET, "--backup-path", text(&backups)];
        let mut relay = Relay::start(folder.path(), &flags).await;
        assert_eq!(post(&relay, r#"{"name":"copy"}"#).await.status, 202, "{engine}");
        within("the copy begins", async {
            while !has_bytes(&backups) {
                tokio::task::yield_now().await;
            }
        })
        .await;
        relay.process.kill().await;
        println!("{engine}: half: {}, whole: {}", half.exists(), copy.exists());
        let relay = Relay::start(folder.path(), &flags).await;
        let was_whole = copy.exists();
        let ended = support::store(&["backup", "--admin", &format!("http://{}", relay.admin), "copy"]).await;
        match was_whole {
            true => assert_has(&ended.stderr, ["409", text(&copy), "expected nothing there"]),
            false => assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{engine}"),
        }
        assert!(was_whole || !half.exists(), "{engine}: what was left is gone");
        assert!(relay.stop().await.success());
        assert_whole(&copy).await;
        assert_eq!(counts(&copy).await, counts(&store).await, "{engine}");
    }
}

#[tokio::test]
async fn a_relay_that_is_not_there_is_told() {
    let ended = store(&["backup", "--admin", "http://127.0.0.1:1", "one"]).await;
    assert_eq!(ended.code, Some(1));
    assert_has(&ended.stderr, ["http://127.0.0.1:1/api/v1/backup"]);
}
