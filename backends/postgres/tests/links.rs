//! Servers that go away, and links that are cut: what is said of a commit, and how the store goes on.
#![expect(clippy::expect_used, clippy::panic, reason = "a test says what it finds by panicking")]

mod standbys;

use std::sync::Arc;

use slipstream_conformance::fixture::*;
use slipstream_postgres::{PostgresOptions, PostgresStore};
use slipstream_postgres_server::Server;
use slipstream_store::{Batch, Depth, MessageStore as _, Outcome, StoreError};

use standbys::wait_for_standbys;

const DATABASE: &str = "postgres";

/// How many commits of a store wait for something.
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%slipstream.commit%' AND state = 'active' \
                       AND wait_event_type IN ('Lock', 'IPC') AND pid <> pg_backend_pid()";

async fn open(server: &Server) -> Arc<PostgresStore> {
    let options = PostgresOptions::new(&server.url(DATABASE)).expect("a URL");
    Arc::new(PostgresStore::open(options).await.expect("the store opens"))
}

fn batch(name: &str) -> Arc<Batch> {
    Arc::new(vec![put(message(name, &["a"]))].into())
}

/// While the server is down a commit says that nothing was done; once it is back, the store goes on by itself and all is
/// there, whether it was stopped or killed.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_outlives_its_server() {
    let mut server = Server::start();
    let store = open(&server).await;
    remember_all(&*store, &["a"]).await;
    let mut expected = vec![recorded(&*store, message("m1", &["a"])).await];
    for (round, end) in [Server::stop, Server::kill].into_iter().enumerate() {
        end(&mut server);
        for _ in 0..2 {
            let refused = store.commit(batch("while-it-is-down")).await;
            assert!(matches!(refused, Err(StoreError::Unavailable(_) | StoreError::Indeterminate(_))), "{refused:?}");
            let refused = store.pending(&peer("a"), None, items(9)).await;
            assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        }
        server.begin();
        assert_eq!(owed(&*store, "a").await, expected);
        expected.push(recorded(&*store, message(&format!("later-{round}"), &["a"])).await);
    }
    assert_eq!(owed(&*store, "a").await, expected);
    assert_eq!(store.check(Depth::Full).await.expect("the check runs"), []);
}

/// A commit whose link is cut while it waits is said to be unknown. Committed again, it waits for what may be left of the
/// first, and is done once.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_commit_is_indeterminate_and_is_repeated() {
    let server = Server::start();
    let store = open(&server).await;
    remember_all(&*store, &["a"]).await;
    let (blocker, connection) =
        tokio_postgres::connect(&server.url(DATABASE), tokio_postgres::NoTls).await.expect("it connects");
    tokio::spawn(connection);
    blocker.batch_execute("BEGIN; SELECT FROM slipstream.head FOR UPDATE").await.expect("the head is locked");
    let waiting = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.commit(batch("m1")).await })
    };
    server.until(DATABASE, WAITING, "1");
    server.sql(DATABASE, &WAITING.replace("count(*)", "pg_terminate_backend(pid)"));
    let cut = waiting.await.expect("the call ends");
    assert!(matches!(cut, Err(StoreError::Indeterminate(_))), "{cut:?}");
    blocker.batch_execute("COMMIT").await.expect("the head is free");
    let outcomes = store.commit(batch("m1")).await.expect("it commits");
    assert!(matches!(outcomes[0], Outcome::Recorded { .. }), "{outcomes:?}");
    assert_eq!(store.commit(batch("m1")).await.expect("it commits"), [BY_IDENTITY]);
}

/// PostgreSQL calls a commit done whose wait for a standby was cancelled, and warns. That is not taken for done. Committed
/// again, it waits for the standby, and so does a batch that changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_waits_for_no_standby_is_not_called_done() {
    let server = Server::start();
    let mut standby = server.standby();
    let store = open(&server).await;
    remember_all(&*store, &["a"]).await;
    wait_for_standbys(&server);
    let sequence = recorded(&*store, message("m1", &["a"])).await;
    standby.stop();
    let settled: Arc<Batch> = Arc::new(vec![acknowledge("a", sequence)].into());
    for _ in 0..2 {
        let (handle, again) = (Arc::clone(&store), Arc::clone(&settled));
        let waiting = tokio::spawn(async move { handle.commit(again).await });
        server.until(DATABASE, WAITING, "1");
        server.sql(DATABASE, &WAITING.replace("count(*)", "pg_cancel_backend(pid)"));
        let doubtful = waiting.await.expect("the call ends");
        assert!(matches!(doubtful, Err(StoreError::Indeterminate(_))), "{doubtful:?}");
    }
    let waiting = tokio::spawn(async move { store.commit(settled).await });
    server.until(DATABASE, WAITING, "1");
    assert!(!waiting.is_finished(), "it waits for the standby, though it changes nothing");
    standby.begin();
    assert_eq!(waiting.await.expect("the call ends").expect("it commits"), [Outcome::Unchanged]);
}

/// A member that waits for a standby beats, so that it does not look dead, and is told of others.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_beats_while_its_commit_waits_for_a_standby() {
    let server = Server::start();
    let mut standby = server.standby();
    let (store, other) = (open(&server).await, open(&server).await);
    remember_all(&*store, &["a"]).await;
    wait_for_standbys(&server);
    standby.stop();
    let handle = Arc::clone(&store);
    let waiting = tokio::spawn(async move { handle.commit(batch("m1")).await });
    server.until(DATABASE, WAITING, "1");
    let seen = shared(&*store).beat().await.expect("it beats");
    let again = shared(&*other).beat().await.expect("another beats");
    assert_eq!((seen.len(), again.len()), (2, 2));
    assert!(!waiting.is_finished(), "the commit still waits");
    standby.begin();
    assert!(matches!(waiting.await.expect("the call ends").expect("it commits")[0], Outcome::Recorded { .. }));
}

/// No store is opened on a standby, which cannot be written.
#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_no_place_for_a_store() {
    let server = Server::start();
    let standby = server.standby();
    let options = PostgresOptions::new(&standby.url(DATABASE)).expect("a URL");
    let refused = PostgresStore::open(options).await.map(drop);
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
}
