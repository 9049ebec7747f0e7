//! Whatever has happened to a store, another that is made of it answers the same. `SLIPSTREAM_TRANSFER_HISTORIES` says how
//! many histories there are.
#![expect(clippy::expect_used, clippy::panic, reason = "a test says what it finds by panicking")]

mod stores;

use std::path::Path;

use slipstream_conformance::{Harness, History, Sandbox, campaigns, history};
use slipstream_embedded::TableHoldings;
use slipstream_store::{MessageStore as _, Result};
use slipstream_transfer::Compared;
use stores::postgres::{self, Postgres};
use stores::sqlite::{self, Sqlite};
use stores::view::{View, expect_same};

fn histories() -> u64 {
    campaigns::count("SLIPSTREAM_TRANSFER_HISTORIES", 24)
}

/// That both stores answer the same.
async fn look<A: Harness, B: Harness>(source: (&A, &Path), target: (&B, &Path), history: &History) {
    let source = source.0.open(source.1).await.expect("the source opens");
    let target = target.0.open(target.1).await.expect("the target opens");
    let (expected, found) = (View::of(&source, history).await, View::of(&target, history).await);
    expect_same(expected, found, history);
    source.close().await.expect("it closes");
    target.close().await.expect("it closes");
}

/// Makes stores of what tables hold, each at a place in a folder.
async fn from_tables<B: Harness>(to: B, make: impl AsyncFn(&mut TableHoldings<'_>, &Path) -> Result<Compared>) {
    let (sandbox, folder) = (Sandbox::new(Sqlite), tempfile::tempdir().expect("a folder"));
    for seed in 0..histories() {
        let history = history(&sandbox, seed).await;
        let target = folder.path().join(seed.to_string());
        {
            let tables = sqlite::tables(&history.place).await;
            let made = make(&mut TableHoldings::new(&*tables), &target).await;
            made.unwrap_or_else(|error| panic!("history {seed}: {error}"));
        }
        look((&Sqlite, &history.place), (&to, &target), &history).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_tables_to_tables() {
    from_tables(Sqlite, async |source, target| sqlite::made_of(source, target).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_tables_to_postgres() {
    from_tables(Postgres, async |source, target| postgres::made_of(source, &postgres::name(target)).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_postgres_to_tables_and_to_postgres() {
    let (sandbox, folder) = (Sandbox::new(Postgres), tempfile::tempdir().expect("a folder"));
    for seed in 0..histories() {
        let history = history(&sandbox, seed).await;
        let (tables, database) = (folder.path().join(format!("{seed}")), folder.path().join(format!("{seed}-again")));
        {
            let mut source = postgres::holdings(&postgres::name(&history.place)).await.expect("nobody has it open");
            let made = sqlite::made_of(&mut source, &tables).await;
            made.unwrap_or_else(|error| panic!("history {seed}: {error}"));
            let made = postgres::made_of(&mut source, &postgres::name(&database)).await;
            made.unwrap_or_else(|error| panic!("history {seed}: {error}"));
            source.are_whole().await.expect("nobody wrote meanwhile");
        }
        look((&Postgres, &history.place), (&Sqlite, &tables), &history).await;
        look((&Postgres, &history.place), (&Postgres, &database), &history).await;
    }
}
