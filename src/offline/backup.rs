//! A copy of a store that the same engine opens.

use std::path::Path;

use slipstream_embedded::{compare, measure};

use super::{Located, OfflineError, Progress};

/// Writes a copy of the store to `target`, where nothing may be, and compares every row. Answers the bytes of the copy.
/// Interrupted at any moment, it leaves a whole copy or nothing at `target`; what it leaves besides is removed by the next
/// one to the same target.
///
/// # Errors
/// As [`Located::open`]; `Store` where something is at `target`, which is left alone, where it is in the store or has a name
/// that a copy may not have, where the engine cannot make a backup, or where the copy differs, which is then left for a
/// person to look at.
pub fn backup(store: &Located, target: &Path, progress: &dyn Progress) -> Result<u64, OfflineError> {
    store.place()?.expect_copy_elsewhere(target).map_err(|error| store.fault(error))?;
    let made = Located { engine: store.engine, path: target.to_owned() };
    store.read(|source| {
        progress.stage("reading", None);
        let amount = measure(source).map_err(|error| store.fault(error))?;
        progress.stage("copying", None);
        source.backup(target).map_err(|error| store.fault(error))?;
        made.read(|copy| {
            progress.stage("comparing", Some(amount.bytes));
            compare(source, copy, &mut |done| progress.advance(done.bytes)).map_err(|error| made.fault(error))
        })
    })?;
    made.place()?.bytes().map_err(|error| made.fault(error))
}
