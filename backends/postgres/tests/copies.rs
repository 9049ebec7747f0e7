//! What is kept as the settings of the server and its standbys come and go, and what is confirmed then.
#![expect(clippy::expect_used, clippy::panic, reason = "a test says what it finds by panicking")]

mod standbys;

use std::sync::Arc;
use std::time::{Duration, Instant};

use slipstream_conformance::fixture::*;
use slipstream_postgres::{PostgresOptions, PostgresStore};
use slipstream_postgres_server::Server;
use slipstream_store::{Batch, Durability, MessageStore as _, Outcome, StoreError, Survives};

use standbys::{committed, set, wait_for_standbys};

const DATABASE: &str = "postgres";

/// How many commits wait for a standby.
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";

fn options(server: &Server) -> PostgresOptions {
    PostgresOptions::new(&server.url(DATABASE)).expect("a URL")
}

fn batch(name: &str) -> Arc<Batch> {
    Arc::new(vec![put(message(name, &["a"]))].into())
}

/// Without a standby that is waited for nothing is committed if one is required, neither at first nor once it is required no
/// more. A commit that was let go unfinished is not called done.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_confirmed_without_the_standby_that_is_required() {
    let server = Server::start();
    let plain = PostgresStore::open(options(&server)).await.expect("the store opens");
    remember_all(&plain, &["a"]).await;
    let mut standby = server.standby();
    let store = Arc::new(PostgresStore::open(options(&server).require_standby()).await.expect("the store opens"));
    let refused = store.commit(batch("m1")).await;
    let Err(StoreError::Unavailable(told)) = &refused else { panic!("{refused:?}") };
    assert!(told.contains("SLIPSTREAM_REQUIRE") && told.contains("synchronous_standby_names"), "{told}");
    assert_eq!(owed(&plain, "a").await, []);
    wait_for_standbys(&server);
    let first = committed(&*store, "m1", &["a"]).await;
    standby.stop();
    let handle = Arc::clone(&store);
    let waiting = tokio::spawn(async move { handle.commit(batch("m2")).await });
    server.until(DATABASE, WAITING, "1");
    set(&server, "ALTER SYSTEM RESET synchronous_standby_names");
    let let_go = waiting.await.expect("the call ends");
    assert!(matches!(let_go, Err(StoreError::Indeterminate(_))), "{let_go:?}");
    let refused = store.commit(batch("m2")).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    standby.begin();
    wait_for_standbys(&server);
    assert_eq!(store.commit(batch("m2")).await.expect("it commits"), [BY_IDENTITY]);
    assert_eq!(owed(&*store, "a").await.first(), Some(&first));
    assert_eq!(owed(&*store, "a").await.len(), 2, "each is there once");
}

/// What is said to be kept follows the server, at the latest with the next link, and is what the settings make of it.
#[tokio::test(flavor = "multi_thread")]
async fn the_guarantee_follows_the_server() {
    let mut server = Server::start();
    let standby = server.standby();
    let store = PostgresStore::open(options(&server)).await.expect("the store opens");
    remember_all(&store, &["a"]).await;
    let guarantee = store.guarantee();
    assert_eq!((guarantee.survives, guarantee.durability), (Survives::PowerCut, Durability::Full));
    assert!(guarantee.to_string().contains("no synchronous standby"), "{guarantee}");
    for (settings, survives, told) in [
        ("ALTER SYSTEM SET synchronous_standby_names = '*'", Survives::LostDisk, ""),
        ("ALTER SYSTEM SET synchronous_commit = remote_write", Survives::PowerCut, "remote_write"),
        ("ALTER SYSTEM SET full_page_writes = off", Survives::KilledProcess, "full_page_writes"),
        ("ALTER SYSTEM SET fsync = off", Survives::KilledProcess, "fsync"),
    ] {
        set(&server, settings);
        server.stop();
        server.begin();
        server.until(DATABASE, "SELECT count(*) > 0 FROM pg_stat_replication WHERE state = 'streaming'", "t");
        committed(&store, &format!("m-{told}"), &["a"]).await;
        let deadline = Instant::now() + Duration::from_secs(60);
        while store.guarantee().survives != survives || !store.guarantee().to_string().contains(told) {
            assert!(Instant::now() < deadline, "{settings}: {}", store.guarantee());
            tokio::task::yield_now().await;
        }
    }
    drop(standby);
}

/// A store that is to be relaxed says what that means, and waits for no disk.
#[tokio::test(flavor = "multi_thread")]
async fn a_relaxed_store_says_so() {
    let server = Server::start();
    let store = PostgresStore::open(options(&server).durability(Durability::Relaxed)).await.expect("the store opens");
    let guarantee = store.guarantee();
    assert_eq!((guarantee.survives, guarantee.durability), (Survives::KilledProcess, Durability::Relaxed));
    assert!(guarantee.is_as_asked() && guarantee.to_string().contains("synchronous_commit is off"), "{guarantee}");
    remember_all(&store, &["a"]).await;
    let outcomes = store.commit(batch("m1")).await.expect("it commits");
    assert!(matches!(outcomes[0], Outcome::Recorded { .. }));
}
