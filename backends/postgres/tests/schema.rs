//! Which databases a store is opened in.
#![expect(clippy::expect_used, reason = "a test says what it finds by panicking")]

mod postgres;

use postgres::{options, server};
use slipstream_conformance::fixture::*;
use slipstream_postgres::{PostgresOptions, PostgresStore};
use slipstream_store::{MessageStore as _, StoreError};

/// A schema of the same name that is another program's is refused and left as it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_schema_is_refused() {
    server().sql("postgres", "CREATE DATABASE foreign_schema");
    server().sql("foreign_schema", "CREATE SCHEMA slipstream CREATE TABLE theirs ()");
    let refused = PostgresStore::open(options("foreign_schema")).await.map(drop);
    assert!(matches!(refused, Err(StoreError::Unsupported(_))), "{refused:?}");
    let tables = "SELECT relname FROM pg_class WHERE relnamespace = 'slipstream'::regnamespace";
    assert_eq!(server().sql("foreign_schema", tables), "theirs");
}

/// A store of a later version is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_later_version_is_refused() {
    server().sql("postgres", "CREATE DATABASE later");
    PostgresStore::open(options("later")).await.expect("it opens").close().await.expect("it closes");
    for version in [0, 2, 1000] {
        server().sql("later", &format!("UPDATE slipstream.head SET schema_version = {version}"));
        let refused = PostgresStore::open(options("later")).await.map(drop);
        assert!(
            matches!(&refused, Err(StoreError::Unsupported(text)) if text.contains(&version.to_string())),
            "{refused:?}"
        );
    }
}

/// Of those that open an empty database at once, one makes the schema and the others wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn many_open_an_empty_database_at_once() {
    server().sql("postgres", "CREATE DATABASE crowd");
    let opening: Vec<_> = (0..8).map(|_| tokio::spawn(PostgresStore::open(options("crowd")))).collect();
    for (n, opened) in opening.into_iter().enumerate() {
        let store = opened.await.expect("it ends").expect("it opens");
        recorded(&store, message(&format!("m{n}"), &[])).await;
    }
}

/// A user without rights is told what is missing; so is who names a database that is not there.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_user_may_not_do_is_said() {
    server().sql("postgres", "CREATE USER nobody_special");
    let url = server().url("postgres").replace("postgres@", "nobody_special:hunter2@");
    for url in [url, server().url("not_there")] {
        let refused = PostgresStore::open(PostgresOptions::new(&url).expect("a URL")).await.map(drop);
        let is_said = matches!(&refused, Err(StoreError::Inaccessible(text)) if !text.contains("hunter2"));
        assert!(is_said, "{refused:?}");
    }
}
