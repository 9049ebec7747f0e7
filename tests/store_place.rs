//! The files of a running relay's store are removed, moved away or replaced: nothing more is confirmed, and it is said.
#![cfg(test)]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::json;
use support::{ENGINES, Peer, Relay, eventually, get, within};
use tokio::task::JoinSet;

/// Sends messages until one is refused, and asserts that this is said and shown.
async fn assert_refused(relay: &Relay, sender: &mut Peer, what: &str) {
    let refused = within(&format!("a message to be refused: {what}"), async {
        loop {
            sender.send(json!({"type": "EVENT"}).to_string()).await;
            let answer = sender.answer().await;
            if answer["type"] == "NACK" {
                break answer;
            }
        }
    })
    .await;
    assert_eq!(refused["code"], "storage_unavailable", "{what}: {refused}");
    let ready = get(relay.admin, "/readyz").await;
    assert_eq!(ready.status, 503, "{what}: {}", ready.body);
    eventually("an error line", async || {
        let said = relay.process.stderr();
        (said.contains("ERROR") && said.contains("put it back")).then_some(())
    })
    .await;
}

/// Waits until it is ready again, and asserts that it takes messages.
async fn assert_taken(relay: &Relay, sender: &mut Peer, id: &str) {
    eventually("the relay to be ready again", async || (get(relay.admin, "/readyz").await.status == 200).then_some(()))
        .await;
    sender.publish(json!({"type": "EVENT", "messageId": id})).await;
}

/// What befalls the folder of a store.
type Change = Box<dyn Fn(&Path)>;

fn data(folder: &Path, engine: &str) -> PathBuf {
    match engine {
        "sqlite" => folder.join("slipstream.db"),
        "redb" => folder.join("slipstream.redb"),
        "lmdb" => folder.join("slipstream.mdb"),
        _ => folder.join("slipstream.sled/db"),
    }
}

#[tokio::test]
async fn nothing_is_confirmed_while_the_folder_is_elsewhere_and_all_is_there_when_it_is_back() {
    // They wait most of the time, for the relay to look at its folder.
    ENGINES.iter().copied().map(is_moved_and_comes_back).collect::<JoinSet<()>>().join_all().await;
}

async fn is_moved_and_comes_back(engine: &'static str) {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, elsewhere) = (folder.path().join("store"), folder.path().join("elsewhere"));
    let relay = Relay::start(folder.path(), &["--store", engine]).await;
    drop(Peer::connect(&relay, "id=away").await);
    let mut sender = Peer::connect(&relay, "id=sender").await;
    sender.publish(json!({"type": "EVENT", "messageId": "first"})).await;

    fs::rename(&store, &elsewhere).expect("it is moved");
    assert_refused(&relay, &mut sender, "moved").await;
    fs::rename(&elsewhere, &store).expect("it is moved back");
    assert_taken(&relay, &mut sender, "second").await;

    fs::rename(&store, &elsewhere).expect("it is moved");
    fs::create_dir(&store).expect("an empty folder");
    assert_refused(&relay, &mut sender, "another folder").await;
    fs::remove_dir(&store).expect("nothing was written there");
    symlink(&elsewhere, &store).expect("a link");
    assert_taken(&relay, &mut sender, "third").await;

    // By whichever way it is reached: the receiver gets everything that was confirmed, in order.
    let mut away = Peer::connect(&relay, "id=away").await;
    for confirmed in ["first", "second", "third"] {
        while away.take().await.id() != confirmed {}
    }
    assert!(relay.stop().await.success(), "{engine}");
}

#[tokio::test]
async fn each_file_of_a_store_is_looked_at() {
    for engine in ENGINES {
        let lock = |store: &Path| store.join("slipstream.lock");
        let mut kinds: Vec<(&str, Change)> = vec![
            ("the folder removed", Box::new(|store| fs::remove_dir_all(store).expect("it is removed"))),
            ("the data removed", Box::new(move |store| fs::remove_file(data(store, engine)).expect("it is removed"))),
            (
                "the data replaced",
                Box::new(move |store| {
                    let copy = store.with_extension("copy");
                    fs::copy(data(store, engine), &copy).expect("it is copied");
                    fs::rename(copy, data(store, engine)).expect("it is renamed");
                }),
            ),
            ("the lock removed", Box::new(move |store| fs::remove_file(lock(store)).expect("it is removed"))),
        ];
        if *engine == "sqlite" {
            kinds.push((
                "the log removed",
                Box::new(|store| {
                    fs::remove_file(store.join("slipstream.db-wal")).expect("it is removed");
                }),
            ));
        }
        for (what, change) in kinds {
            let folder = tempfile::tempdir().expect("a folder");
            let store = folder.path().join("store");
            let mut relay = Relay::start(folder.path(), &["--store", engine]).await;
            let mut sender = Peer::connect(&relay, "id=sender").await;
            change(&store);
            // Without any traffic too.
            eventually(what, async || (get(relay.admin, "/readyz").await.status == 503).then_some(())).await;
            assert_refused(&relay, &mut sender, what).await;
            drop(sender);
            relay.process.signal(support::Signal::TERM);
            let ended = relay.process.end().await;
            assert!(!ended.success(), "{engine}, {what}: the store was not closed in order");
        }
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_store_that_took_the_place_of_another_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("store");
    let mut old = Relay::start(folder.path(), &["--store", "sqlite"]).await;
    fs::rename(&place, folder.path().join("old")).expect("it is moved");
    let mut new = Relay::start(folder.path(), &["--store", "sqlite"]).await;
    drop(Peer::connect(&new, "id=away").await);
    Peer::connect(&new, "id=sender").await.publish(json!({"type": "EVENT", "messageId": "m1"})).await;
    old.process.signal(support::Signal::TERM);
    assert!(!old.process.end().await.success());
    new.process.kill().await;
    let new = Relay::start(folder.path(), &["--store", "sqlite"]).await;
    assert_eq!(Peer::connect(&new, "id=away").await.take().await.id(), "m1");
}
