//! Moving a store into PostgreSQL and out of it by the command: everything arrives, a store that is in use or half made is
//! left alone, and a relay on the target delivers what is owed.

#![cfg(test)]

mod support;

use std::path::Path;

use serde_json::{Value, json};
use slipstream_postgres_server::Server;
use support::{
    ENGINES, Ended, FILLING, Peer, Process, Relay, an_engine, assert_delivers_everything, assert_has, assert_whole,
    counts, counts_of_any_engine, files, fill_with_everything, store_with_backlog,
};

/// Nobody may read it anywhere.
const PASSWORD: &str = "hunter2hunter2";

/// A server with a store, or with none yet.
struct Shared {
    server: Server,
    url: String,
}

impl Shared {
    fn start() -> Self {
        let server = Server::start();
        let url = server.url("postgres").replace("postgres@", &format!("postgres:{PASSWORD}@"));
        Self { server, url }
    }

    fn spawn(&self, arguments: &[&str]) -> Process {
        let environment = [("SLIPSTREAM_STORE", "postgres"), ("SLIPSTREAM_STORE_URL", self.url.as_str())];
        Process::spawn(arguments, &environment)
    }

    async fn ran(&self, arguments: &[&str]) -> Ended {
        let mut process = self.spawn(arguments);
        let code = process.end().await.code();
        let ended = Ended { code, stdout: process.stdout(), stderr: process.stderr() };
        assert!(!format!("{ended:?}").contains(PASSWORD), "{ended:?}");
        ended
    }

    /// Starts a relay on the store.
    async fn relay(&self, flags: &[&str]) -> Relay {
        let serve = ["serve", "--listen", "127.0.0.1:0", "--metrics-port", "0"];
        Relay::ready(self.spawn(&[&serve, flags].concat())).await
    }

    fn begin_migration(&self, from: &str, to: &str) -> Process {
        self.spawn(&["store", "migrate", "--json", "--from", from, "--to", to])
    }

    async fn migrate(&self, from: &str, to: &str) -> Ended {
        self.ran(&["store", "migrate", "--json", "--from", from, "--to", to]).await
    }

    async fn migrated(&self, from: &str, to: &str) -> Value {
        let ended = self.migrate(from, to).await;
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{from} -> {to}: {}", ended.stdout);
        serde_json::from_str(&ended.stdout).expect("one JSON object")
    }

    /// The counts of the store, without those that another engine has otherwise.
    async fn counts(&self) -> Value {
        let ended = self.ran(&["store", "stats", "--json"]).await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let counts: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
        assert_eq!(counts["engine"], "postgres");
        counts_of_any_engine(counts)
    }
}

fn place(engine: &str, path: &Path) -> String {
    format!("{engine}:{}", path.to_str().expect("a path of UTF-8"))
}

#[tokio::test]
async fn everything_moves_from_files_to_postgresql_and_back() {
    for engine in ENGINES {
        let (shared, folder) = (Shared::start(), tempfile::tempdir().expect("a folder"));
        let source = folder.path().join("store");
        let flags = [&["--store", engine][..], &FILLING].concat();
        let id = fill_with_everything(Relay::start(folder.path(), &flags).await).await;
        let (expected, before) = (counts(&source).await, files(&source));
        let told = shared.migrated(&place(engine, &source), "postgres").await;
        assert_eq!((&told["from"]["engine"], &told["to"]["engine"]), (&json!(engine), &json!("postgres")), "{told}");
        assert_eq!(shared.counts().await, expected, "{engine}");
        assert_eq!(shared.ran(&["store", "check"]).await.code, Some(0));
        if matches!(*engine, "sqlite" | "lmdb") {
            assert!(files(&source) == before, "{engine}: the source is as it was, byte for byte");
        }
        let back = folder.path().join("back/store");
        shared.migrated("postgres", &place(engine, &back)).await;
        assert_eq!(counts(&back).await, expected, "{engine}");
        assert_whole(&back).await;
        let (back, quiet) = (folder.path().join("back"), "--enable-message-logs=false");
        assert_delivers_everything(Relay::start(&back, &["--store", engine, quiet]).await, &id).await;
        assert_delivers_everything(shared.relay(&[quiet]).await, &id).await;
    }
}

/// What is begun on PostgreSQL moves too, and whoever still shows life keeps its store.
#[tokio::test]
async fn a_store_that_a_process_has_open_stays_where_it_is() {
    let (shared, folder) = (Shared::start(), tempfile::tempdir().expect("a folder"));
    let engine = an_engine();
    let target = folder.path().join("store");
    let id = fill_with_everything(shared.relay(&FILLING).await).await;
    let relay = shared.relay(&["--enable-message-logs=false"]).await;
    let refused = shared.migrate("postgres", &place(engine, &target)).await;
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""));
    assert_has(&refused.stderr, ["postgres://127.0.0.1:", "in use"]);
    assert!(!target.exists(), "nothing is left of it");
    // The process serves on.
    let message = json!({"type": "EVENT", "messageId": "on", "targetedTags": ["nobody"]});
    Peer::connect(&relay, "id=sender").await.publish(message).await;
    assert!(relay.stop().await.success());
    shared.migrated("postgres", &place(engine, &target)).await;
    let relay = Relay::start(folder.path(), &["--store", engine, "--enable-message-logs=false"]).await;
    assert_delivers_everything(relay, &id).await;
}

#[tokio::test]
async fn a_target_with_a_store_is_refused_and_stays() {
    let (shared, folder) = (Shared::start(), tempfile::tempdir().expect("a folder"));
    let engine = an_engine();
    let source = store_with_backlog(folder.path(), engine, 50).await;
    let relay = shared.relay(&[]).await;
    drop(Peer::connect(&relay, "id=shop&tags=aws").await);
    assert!(relay.stop().await.success());
    let expected = shared.counts().await;
    let refused = shared.migrate(&place(engine, &source), "postgres").await;
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""));
    assert_has(&refused.stderr, ["postgres://127.0.0.1:", "there is a store in this database already"]);
    assert_eq!(shared.counts().await, expected);
    let refused = shared.migrate("postgres", &place(engine, &source)).await;
    assert_eq!(refused.code, Some(1));
    assert_has(&refused.stderr, [source.to_str().expect("UTF-8"), "expected no store"]);
    assert_eq!(counts(&source).await["pending"], 50);
    let itself = shared.migrate("postgres", "postgres").await;
    assert_eq!(itself.code, Some(2));
    assert_has(&itself.stderr, ["ENGINE:PATH"]);
}

/// Half a migration is no store for anybody, and the same command makes it whole.
#[tokio::test]
async fn a_migration_that_is_killed_is_recognised_and_starts_again() {
    let (shared, folder) = (Shared::start(), tempfile::tempdir().expect("a folder"));
    let engine = an_engine();
    let source = store_with_backlog(folder.path(), engine, 20_000).await;
    let expected = counts(&source).await;
    let mut killed = shared.begin_migration(&place(engine, &source), "postgres");
    shared.server.until("postgres", "SELECT to_regclass('slipstream.head') IS NOT NULL", "t");
    shared.server.until("postgres", "SELECT next_pack > 0 FROM slipstream.head", "t");
    killed.kill().await;
    let mut serve = shared.spawn(&["serve", "--listen", "127.0.0.1:0", "--metrics-port", "0"]);
    assert_eq!(serve.end().await.code(), Some(1), "half a store is not served");
    assert_has(&serve.stderr(), ["migration", "not finished"]);
    for command in ["stats", "check"] {
        let look = shared.ran(&["store", command]).await;
        assert_eq!(look.code, Some(1));
        assert_has(&look.stderr, ["migration", "not finished"]);
    }
    shared.migrated(&place(engine, &source), "postgres").await;
    assert_eq!(shared.counts().await, expected);
}
