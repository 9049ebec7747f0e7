//! Why work on a store was not done.

use std::path::{Path, PathBuf};

use slipstream_store::{Defect, Stats, StoreError};

/// Why work on a whole store was not done. Unless it says otherwise, everything is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OfflineError {
    /// Nothing is there to work on, and nothing was made.
    #[error("{path}: there is no store: expected {expected}", path = .path.display())]
    Absent {
        /// Where it was looked for.
        path: PathBuf,
        /// What was looked for.
        expected: String,
    },
    /// A migration into this store was interrupted.
    #[error("{path}: a migration into it was interrupted; start it again, or remove {staging}", path = .path.display(), staging = .staging.display())]
    HalfMigrated {
        /// The store.
        path: PathBuf,
        /// What is left of the migration.
        staging: PathBuf,
    },
    /// Another process has it open.
    #[error("{path} is in use by another process: stop the relay that has it open, and try again", path = .0.display())]
    InUse(PathBuf),
    /// The store has defects, and is not carried any further.
    #[error("{path}: {count} defects, the first: {first}; `slipstream store check` lists them", path = .path.display())]
    Defects {
        /// The store.
        path: PathBuf,
        /// How many were found.
        count: usize,
        /// The first.
        first: String,
    },
    /// The source and the target are one place.
    #[error("{path} is both the source and the target: expected two places", path = .0.display())]
    SamePlace(PathBuf),
    /// The backup is of another engine than the settings name.
    #[error("{path}: expected a backup of {expected}, as SLIPSTREAM_STORE says, got one of {found}: set SLIPSTREAM_STORE to {found}, or move the store with `slipstream store migrate` afterwards", path = .path.display())]
    OtherEngine {
        /// The backup.
        path: PathBuf,
        /// Its engine.
        found: &'static str,
        /// The engine of the settings.
        expected: &'static str,
    },
    /// The new store counts something else than the old one.
    #[error("{path}: the new store counts differently: {counts}", path = .path.display())]
    CountsDiffer {
        /// The new store.
        path: PathBuf,
        /// Both counts.
        counts: String,
    },
    /// The engine says so.
    #[error("{path}: {error}", path = .path.display())]
    Store {
        /// The store.
        path: PathBuf,
        /// What it says.
        error: StoreError,
    },
}

impl OfflineError {
    /// # Errors
    /// `Defects` if the store at this path has any.
    pub(super) fn unless_whole(path: &Path, defects: &[Defect]) -> Result<(), Self> {
        let Some(Defect(first)) = defects.first() else { return Ok(()) };
        Err(Self::Defects { path: path.to_owned(), count: defects.len(), first: first.clone() })
    }

    /// # Errors
    /// `CountsDiffer` if the store at this path counts something else than is expected.
    pub(super) fn unless_counted(path: &Path, found: &Stats, expected: &Stats) -> Result<(), Self> {
        if found == expected {
            return Ok(());
        }
        Err(Self::CountsDiffer { path: path.to_owned(), counts: format!("{found:?}, expected {expected:?}") })
    }
}
