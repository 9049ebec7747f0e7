//! Moving a store into one that several processes share, or out of it.
//!
//! The two keep their messages in ways of their own. So what the one holds is brought to the other by the operations that a
//! relay uses, and then both are asked what they hold, and compared.

use std::path::Path;
use std::time::Duration;

use slipstream_embedded::{TableHoldings, Work, set_whole_from};
use slipstream_store::{Depth, Durability, Holdings, Stats};
use slipstream_transfer::{Compared, compare, transfer};

use super::shared::{check_shared, fault, place};
use super::{Located, OfflineError, Progress};
use crate::backend::{self, Making, ReadAlone};
use crate::config::StoreConfig;
use crate::link::Secret;

/// A process that shows no life for so long has not closed the store but is gone: longer than others give it.
const SILENT_FOR: Duration = Duration::from_secs(12);

/// What was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transferred {
    /// Where the shared store is, for people.
    pub place: String,
    /// The messages of which anything was remembered.
    pub messages: u64,
    /// What they are, as the new store counts them.
    pub stats: Stats,
}

/// Makes a store with this URL of all that is in `from`, which is only read. There must be none; what a migration has left
/// there that was not finished goes. The new store is compared with the old one message by message, and checked, before one
/// statement makes it a store.
///
/// # Errors
/// As [`Located::open`]; `Defects` if the source has any; `Store` with what the engine says, also if there is a store.
pub async fn to_shared(from: &Located, url: &Secret, progress: &dyn Progress) -> Result<Transferred, OfflineError> {
    let place = place(url)?;
    let tables = from.open()?;
    progress.stage("checking the source", None);
    from.expect_whole(&*tables)?;
    let said = |error| fault(&place, error);
    let making = Making::begin(url).await.map_err(said)?;
    match fill(&mut TableHoldings::new(&*tables), &making, &place, progress).await {
        Ok((messages, stats)) => {
            making.finish().await.map_err(said)?;
            // Nothing was written that could be lost.
            drop(tables.close());
            Ok(Transferred { place, messages, stats })
        }
        Err(error) => {
            // If it stays, a start knows it, and the operator was told.
            drop(making.abandon().await);
            Err(error)
        }
    }
}

/// Fills a store that is being made, and looks whether it is what it should be.
async fn fill(
    source: &mut dyn Holdings,
    making: &Making,
    place: &str,
    progress: &dyn Progress,
) -> Result<(u64, Stats), OfflineError> {
    let said = |error| fault(place, error);
    progress.stage("copying", None);
    transfer(source, making.store(), &mut |more| progress.advance(more)).await.map_err(said)?;
    progress.stage("comparing", None);
    let mut target = making.holdings().await.map_err(said)?;
    let compared = compare(source, &mut *target, &mut |more| progress.advance(more)).await.map_err(said)?;
    drop(target);
    progress.stage("checking the target", None);
    let path = Path::new(place);
    OfflineError::unless_whole(path, &making.store().check(Depth::Full).await.map_err(said)?)?;
    let stats = making.store().stats().await.map_err(said)?;
    expect_counts(path, &compared, &stats)?;
    Ok((compared.messages, stats))
}

/// Makes a store at `to`, where there must be none, of all that is in the shared store with this URL, which no process must
/// have open. Until this has ended none can open it. The new store is compared with the old one message by message, and
/// checked, before one rename makes it a store.
///
/// An interrupted migration leaves a staging folder by which a start and these commands know it. It begins anew.
///
/// # Errors
/// `InUse` if a process has the shared store open; `Defects` if it has any; `Store` if there is a store at `to`, or with what
/// an engine says.
pub async fn from_shared(url: &Secret, to: &Located, progress: &dyn Progress) -> Result<Transferred, OfflineError> {
    let at = to.place()?;
    let lock = || at.lock_empty().map_err(|error| to.fault(error));
    // To be refused for what is at the target nobody need be kept out of the source. Where nothing is, nothing is made yet.
    let early = to.path.exists().then(lock).transpose()?;
    progress.stage("checking the source", None);
    let (place, defects) = check_shared(url, Depth::Full, progress).await?;
    OfflineError::unless_whole(Path::new(&place), &defects)?;
    progress.stage("keeping others out", None);
    let mut source = ReadAlone::begin(url, SILENT_FOR).await.map_err(|error| fault(&place, error))?;
    let _lock = early.map_or_else(lock, Ok)?;
    let path = at.staging(Work::Migrating).make_folder().map_err(|error| to.fault(error))?;
    let made = Located { engine: to.engine, path };
    let (messages, mut stats) = make(&mut source, &place, &made, progress).await.inspect_err(|_| {
        // A start may take the place for an empty one again; the operator was told.
        drop(at.staging(Work::Migrating).remove());
    })?;
    at.install(&made.place()?, Work::Migrating).map_err(|error| to.fault(error))?;
    stats.bytes = at.bytes().map_err(|error| to.fault(error))?;
    Ok(Transferred { place, messages, stats })
}

/// Makes a store in its staging folder, and looks whether it is what it should be.
async fn make(
    source: &mut ReadAlone,
    place: &str,
    made: &Located,
    progress: &dyn Progress,
) -> Result<(u64, Stats), OfflineError> {
    let written = |error| made.fault(error);
    let (engine, path) = (made.engine, made.path.clone());
    let config = StoreConfig::Files { engine, path, durability: Durability::Full };
    progress.stage("copying", None);
    let store = backend::open(&config).await.map_err(written)?;
    let copied = transfer(source.holdings(), &*store, &mut |more| progress.advance(more)).await;
    let closed = store.close().await;
    drop(store);
    let copied = copied.map_err(written)?;
    closed.map_err(written)?;
    let mut tables = backend::open_tables(made.engine, &made.path).map_err(written)?;
    if let Some(from) = copied.whole_from {
        set_whole_from(&mut *tables, from).map_err(written)?;
    }
    progress.stage("comparing", None);
    let mut target = TableHoldings::new(&*tables);
    let compared = compare(source.holdings(), &mut target, &mut |more| progress.advance(more)).await;
    let compared = compared.map_err(written)?;
    source.is_whole().await.map_err(|error| fault(place, error))?;
    progress.stage("checking the target", None);
    made.expect_whole(&*tables)?;
    let stats = tables.stats().map_err(written)?;
    expect_counts(&made.path, &compared, &stats)?;
    tables.close().map_err(written)?;
    Ok((compared.messages, stats))
}

/// That a store counts what was found in it.
fn expect_counts(path: &Path, compared: &Compared, stats: &Stats) -> Result<(), OfflineError> {
    let Compared { peers, pending, dead_letters, identities, .. } = *compared;
    OfflineError::unless_counted(path, stats, &Stats { peers, pending, dead_letters, identities, ..*stats })
}
