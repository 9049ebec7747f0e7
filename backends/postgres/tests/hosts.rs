//! Several hosts, of which one takes writes, and a failover from one to another.
#![expect(clippy::expect_used, clippy::panic, reason = "a test says what it finds by panicking")]

mod standbys;

use std::net::TcpListener;

use slipstream_conformance::fixture::*;
use slipstream_postgres::{PostgresOptions, PostgresStore};
use slipstream_postgres_server::Server;
use slipstream_store::{Depth, MessageStore as _, StoreError};

use standbys::{committed, wait_for_standbys};

const DATABASE: &str = "postgres";

/// A URL with these hosts and ports, in this order.
fn of(ports: &[String]) -> PostgresOptions {
    let hosts: Vec<_> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    PostgresOptions::new(&format!("postgres://postgres@{}/{DATABASE}", hosts.join(","))).expect("a URL")
}

fn port(server: &Server) -> String {
    server.sql(DATABASE, "SHOW port")
}

/// Neither a host that accepts a connection and says nothing, nor one where nobody listens, nor a standby keeps a store
/// from the one that takes writes.
#[tokio::test(flavor = "multi_thread")]
async fn the_host_that_takes_writes_is_found() {
    let server = Server::start();
    let standby = server.standby();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port can be bound");
    let silent = silent.local_addr().expect("it has an address").port().to_string();
    let store = PostgresStore::open(of(&[silent, "1".to_owned(), port(&standby), port(&server)])).await;
    let store = store.expect("the store opens");
    remember_all(&store, &["a"]).await;
    recorded(&store, message("m1", &["a"])).await;
}

/// If no host takes writes it is said of each why, and the store may be opened later.
#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_take_no_writes_are_told() {
    let server = Server::start();
    let standby = server.standby();
    let refused = PostgresStore::open(of(&[port(&standby), "1".to_owned()])).await.map(drop);
    let Err(StoreError::Unavailable(told)) = refused else { panic!("{refused:?}") };
    assert!(told.contains("none of 2 hosts") && told.contains("refused"), "{told}");
}

/// A store whose server is killed goes on at the standby that takes its place, with all that was committed.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_follows_a_failover() {
    let mut server = Server::start();
    let standby = server.standby();
    let store = PostgresStore::open(of(&[port(&server), port(&standby)])).await.expect("the store opens");
    remember_all(&store, &["a"]).await;
    wait_for_standbys(&server);
    let first = recorded(&store, message("m1", &["a"])).await;
    server.kill();
    let refused = store.pending(&peer("a"), None, items(9)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    standby.sql(DATABASE, "SELECT pg_promote()");
    let second = committed(&store, "m2", &["a"]).await;
    assert_eq!(owed(&store, "a").await, [first, second]);
    assert_eq!(store.check(Depth::Full).await.expect("the check runs"), []);
}

/// A pooler that lends sessions by the transaction would mix those of several clients; one that lends them by the session
/// does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_may_not_lend_sessions_by_the_transaction() {
    let server = Server::start();
    for mode in ["transaction", "statement"] {
        let pooler = server.pooler(mode);
        let refused = PostgresStore::open(PostgresOptions::new(&pooler.url(DATABASE)).expect("a URL")).await.map(drop);
        let Err(StoreError::Unsupported(told)) = refused else { panic!("{mode}: {refused:?}") };
        assert!(told.contains("PgBouncer") && told.contains("pool_mode=session"), "{told}");
    }
    let pooler = server.pooler("session");
    let store = PostgresStore::open(PostgresOptions::new(&pooler.url(DATABASE)).expect("a URL")).await;
    let store = store.expect("the store opens");
    remember_all(&store, &["a"]).await;
    recorded(&store, message("m1", &["a"])).await;
    store.close().await.expect("it closes");
}
