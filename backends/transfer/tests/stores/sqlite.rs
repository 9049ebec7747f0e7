//! Stores on SQLite, and what they hold.

use std::path::Path;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use slipstream_conformance::Harness;
use slipstream_embedded::{OfflineStore, StoreOptions, TableHoldings, set_whole_from};
use slipstream_sqlite::SqliteStore;
use slipstream_store::{Depth, Durability, Holdings, MessageStore as _, Result, StoreError};
use slipstream_transfer::{Compared, compare, transfer};

/// Longest that a place is waited for.
const LONGEST: Duration = Duration::from_secs(30);

/// Stores whose commits need not be synced.
#[derive(Debug)]
pub(crate) struct Sqlite;

fn options(place: &Path) -> StoreOptions {
    StoreOptions::new(place).durability(Durability::Relaxed)
}

#[async_trait]
impl Harness for Sqlite {
    type Store = SqliteStore;

    async fn open(&self, place: &Path) -> Result<SqliteStore> {
        let options = options(place);
        opened(|| slipstream_sqlite::open(&options)).await
    }
}

/// Opens what was closed. A process that another thread starts may hold it for a moment longer.
async fn opened<T>(open: impl Fn() -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    loop {
        match open() {
            Err(StoreError::InUse(_)) if begun.elapsed() < LONGEST => tokio::task::yield_now().await,
            opened => return opened,
        }
    }
}

pub(crate) async fn tables(place: &Path) -> Box<dyn OfflineStore> {
    let options = options(place);
    Box::new(opened(|| slipstream_sqlite::open_tables(&options)).await.expect("the tables open"))
}

/// Makes a store at this place of what a source holds, as a migration does.
pub(crate) async fn made_of(source: &mut dyn Holdings, place: &Path) -> Result<Compared> {
    let store = Sqlite.open(place).await.expect("the target opens");
    let transferred = transfer(source, &store, &mut |_| {}).await?;
    store.close().await.expect("it closes");
    drop(store);
    let mut target = tables(place).await;
    if let Some(from) = transferred.whole_from {
        set_whole_from(&mut *target, from).expect("it is written");
    }
    let compared = compare(source, &mut TableHoldings::new(&*target), &mut |_| {}).await?;
    assert_eq!(compared.messages, transferred.messages);
    assert_eq!(target.check(Depth::Full).expect("the check runs"), []);
    let stats = target.stats().expect("it counts");
    let counted = [stats.peers, stats.pending, stats.dead_letters, stats.identities];
    assert_eq!(counted, [compared.peers, compared.pending, compared.dead_letters, compared.identities]);
    target.close().expect("it closes");
    Ok(compared)
}
