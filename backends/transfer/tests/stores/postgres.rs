//! Stores on PostgreSQL: one server for all tests of a program, and a database for each place.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use slipstream_conformance::Harness;
use slipstream_postgres::{PostgresHoldings, PostgresMaking, PostgresOptions, PostgresStore};
use slipstream_postgres_server::Server;
use slipstream_store::{Depth, Holdings, MessageStore as _, Result};
use slipstream_transfer::{Compared, compare, transfer};

/// A process that does not beat for so long counts as gone.
pub(crate) const SILENT: Duration = Duration::from_secs(1);

/// Stores on the server of this program.
#[derive(Debug)]
pub(crate) struct Postgres;

#[async_trait]
impl Harness for Postgres {
    type Store = PostgresStore;

    async fn open(&self, place: &Path) -> Result<PostgresStore> {
        PostgresStore::open(options(&name(place))).await
    }
}

pub(crate) fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start_with("fsync = off"))
}

pub(crate) fn options(database: &str) -> PostgresOptions {
    PostgresOptions::new(&server().url(database)).expect("the server has a URL")
}

/// The database for a place, which is made unless it is there.
pub(crate) fn name(place: &Path) -> String {
    let parts: Vec<_> = place.components().rev().take(2).map(|part| part.as_os_str().to_string_lossy()).collect();
    let name = parts.join("_").replace(|c: char| !c.is_ascii_alphanumeric(), "_").to_lowercase();
    made(&name);
    name
}

/// A database of this name.
pub(crate) fn made(name: &str) {
    let is_there = format!("SELECT 1 FROM pg_database WHERE datname = '{name}'");
    if server().sql("postgres", &is_there).is_empty() {
        server().sql("postgres", &format!("CREATE DATABASE \"{name}\""));
    }
}

/// Makes a store in this database of what a source holds, as a migration does.
pub(crate) async fn made_of(source: &mut dyn Holdings, database: &str) -> Result<Compared> {
    let making = PostgresMaking::begin(options(database)).await?;
    let transferred = transfer(source, making.store(), &mut |_| {}).await?;
    let mut target = making.holdings().await?;
    let compared = compare(source, &mut target, &mut |_| {}).await?;
    drop(target);
    assert_eq!(compared.messages, transferred.messages);
    assert_eq!(making.store().check(Depth::Full).await?, []);
    let stats = making.store().stats().await?;
    let counted = [stats.peers, stats.pending, stats.dead_letters, stats.identities];
    assert_eq!(counted, [compared.peers, compared.pending, compared.dead_letters, compared.identities]);
    making.finish().await?;
    Ok(compared)
}

/// What the store in this database holds.
pub(crate) async fn holdings(database: &str) -> Result<PostgresHoldings> {
    PostgresHoldings::open(options(database), SILENT).await
}
