//! Moving a store to another engine.

use slipstream_embedded::{Amount, OfflineStore, Work, compare, copy, measure};
use slipstream_store::Stats;

use super::{Located, OfflineError, Progress};
use crate::backend;

/// What was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// The rows, with the bytes of their keys and values.
    pub amount: Amount,
    /// What they are, as both stores count them; the bytes are those of the new one.
    pub stats: Stats,
    /// The bytes of the old store.
    pub source_bytes: u64,
}

/// Makes a store of all that is in `from` at `to`, where there must be none. Everything goes: peers, identities, what is
/// owed in its order and with its attempts, dead letters, stamps, traces, the relay's id. The new store is compared with
/// the old one row by row, and checked, before one rename makes it a store; `from` is only read.
///
/// An interrupted migration leaves a staging folder by which a start and these commands know it. It begins anew.
///
/// # Errors
/// As [`Located::open`]; `Defects` where the source has any; `SamePlace`; `Store` where there is a store at `to`, or
/// where there is no room.
pub fn migrate(from: &Located, to: &Located, progress: &dyn Progress) -> Result<Migrated, OfflineError> {
    let place = to.place()?;
    if same(from, to) {
        return Err(OfflineError::SamePlace(to.path.clone()));
    }
    let source_bytes = from.place()?.bytes().unwrap_or(0);
    let fault = |error| to.fault(error);
    from.read(|source| {
        let _lock = place.lock_empty().map_err(fault)?;
        let made = Located { engine: to.engine, path: place.staging(Work::Migrating).make_folder().map_err(fault)? };
        let (amount, mut stats) = transfer(from, source, &made, progress).inspect_err(|_| {
            // A start may take the place for an empty one again; the operator was told.
            drop(place.staging(Work::Migrating).remove());
        })?;
        place.install(&made.place()?, Work::Migrating).map_err(fault)?;
        stats.bytes = place.bytes().map_err(fault)?;
        Ok(Migrated { amount, stats, source_bytes })
    })
}

fn same(from: &Located, to: &Located) -> bool {
    match (from.path.canonicalize(), to.path.canonicalize()) {
        (Ok(from), Ok(to)) => from == to,
        _ => from.path == to.path,
    }
}

fn transfer(
    from: &Located,
    source: &dyn OfflineStore,
    made: &Located,
    progress: &dyn Progress,
) -> Result<(Amount, Stats), OfflineError> {
    let (read, written) = (|error| from.fault(error), |error| made.fault(error));
    progress.stage("checking the source", None);
    from.expect_whole(source)?;
    progress.stage("reading", None);
    let (amount, stats) = (measure(source).map_err(read)?, source.stats().map_err(read)?);
    let mut target = backend::open_tables(made.engine, &made.path).map_err(written)?;
    progress.stage("copying", Some(amount.bytes));
    copy(source, &mut *target, &mut |done| progress.advance(done.bytes)).map_err(written)?;
    progress.stage("comparing", Some(amount.bytes));
    compare(source, &*target, &mut |done| progress.advance(done.bytes)).map_err(written)?;
    progress.stage("checking the target", None);
    made.expect_whole(&*target)?;
    let counted = Stats { bytes: stats.bytes, ..target.stats().map_err(written)? };
    OfflineError::unless_counted(&made.path, &counted, &stats)?;
    target.close().map_err(written)?;
    Ok((amount, stats))
}
