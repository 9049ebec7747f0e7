//! Rewriting a store into the smallest form.

use slipstream_embedded::{OfflineStore, Work, compare, measure};

use super::{Located, OfflineError, Progress};

/// What became of a store that was compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// Its bytes before.
    pub before: u64,
    /// Its bytes after.
    pub after: u64,
}

/// Rewrites a store into the smallest form that its engine has. The new form is compared with the old one row by row,
/// and takes its place by one rename: a crash leaves the old one or the new one. What a crash leaves besides is removed by
/// the next time. It wants room for both.
///
/// # Errors
/// As [`Located::open`]; `Defects` where the store has any; `Store` where the engine cannot, or where there is no room.
pub fn compact(store: &Located, progress: &dyn Progress) -> Result<Compacted, OfflineError> {
    let place = store.place()?;
    let source = store.open()?;
    let fault = |error| store.fault(error);
    let before = place.bytes().map_err(fault)?;
    let staging = place.staging(Work::Compacting).make_folder().map_err(fault)?;
    let made = Located { engine: store.engine, path: staging.join("store") };
    if let Err(error) = rewrite(store, &*source, &made, progress) {
        // Where it cannot be removed, it is in nobody's way, and the next time removes it.
        drop((place.staging(Work::Compacting).remove(), source.close()));
        return Err(error);
    }
    // From here to the end, this lock keeps others away.
    let _lock = source.close().map_err(fault)?;
    place.install(&made.place()?, Work::Compacting).map_err(fault)?;
    Ok(Compacted { before, after: place.bytes().map_err(fault)? })
}

fn rewrite(
    store: &Located,
    source: &dyn OfflineStore,
    made: &Located,
    progress: &dyn Progress,
) -> Result<(), OfflineError> {
    progress.stage("reading", None);
    let amount = measure(source).map_err(|error| store.fault(error))?;
    progress.stage("rewriting", None);
    source.backup(&made.path).map_err(|error| store.fault(error))?;
    let copy = made.open()?;
    progress.stage("comparing", Some(amount.bytes));
    compare(source, &*copy, &mut |done| progress.advance(done.bytes)).map_err(|error| made.fault(error))?;
    progress.stage("checking", None);
    store.expect_whole(&*copy)?;
    copy.close().map(drop).map_err(|error| made.fault(error))
}
