//! A store by its engine and its path, and how it is found and opened.

use std::fmt;
use std::path::{Path, PathBuf};

use slipstream_embedded::{OfflineStore, Place, Work};
use slipstream_store::{Defect, Depth, Stats, StoreError};

use super::OfflineError;
use super::progress::Progress;
use crate::backend;
use crate::config::EmbeddedEngine;

/// Where a store is, or is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The engine.
    pub engine: EmbeddedEngine,
    /// Its folder, or its file.
    pub path: PathBuf,
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.engine, self.path.display())
    }
}

impl Located {
    /// The store at `path`, of the engine whose data are there, or else of `otherwise`.
    #[must_use]
    pub fn find(path: &Path, otherwise: EmbeddedEngine) -> Self {
        let is_here = |engine: &&EmbeddedEngine| backend::place(**engine, path).is_ok_and(|place| place.has_store());
        let engine = backend::EMBEDDED.iter().find(is_here).copied().unwrap_or(otherwise);
        Self { engine, path: path.to_owned() }
    }

    pub(super) fn place(&self) -> Result<Place, OfflineError> {
        backend::place(self.engine, &self.path).map_err(|error| self.fault(error))
    }

    /// Opens the store, which must be there.
    ///
    /// # Errors
    /// `Absent` and `HalfMigrated`, in which case nothing was made; `InUse`; what the engine says.
    pub fn open(&self) -> Result<Box<dyn OfflineStore>, OfflineError> {
        let place = self.place()?;
        if place.is_half_migrated() {
            let staging = place.staging(Work::Migrating).path().to_owned();
            return Err(OfflineError::HalfMigrated { path: self.path.clone(), staging });
        }
        if !place.has_store() {
            let mut expected = format!("the data of {} in {}", self.engine, place.data().display());
            if let Ok(Some(other)) = place.other_engine() {
                expected += &format!(", got `{other}`, the data of another engine");
            }
            return Err(OfflineError::Absent { path: self.path.clone(), expected });
        }
        backend::open_tables(self.engine, &self.path).map_err(|error| self.fault(error))
    }

    /// Opens the store, has it read, and closes it.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&dyn OfflineStore) -> Result<T, OfflineError>,
    ) -> Result<T, OfflineError> {
        let store = self.open()?;
        let answer = read(&*store);
        // Nothing was written that could be lost.
        drop(store.close());
        answer
    }

    /// How much is in the store.
    ///
    /// # Errors
    /// As [`open`](Self::open), and where its tables contradict each other.
    pub fn stats(&self) -> Result<Stats, OfflineError> {
        self.read(|store| store.stats().map_err(|error| self.fault(error)))
    }

    /// Looks for damage. A store that is refused for what is in it is a finding too.
    ///
    /// # Errors
    /// As [`open`](Self::open), but for that.
    pub fn check(&self, depth: Depth, progress: &dyn Progress) -> Result<Vec<Defect>, OfflineError> {
        progress.stage("opening", None);
        let found = self.read(|store| {
            progress.stage("checking", None);
            store.check(depth).map_err(|error| self.fault(error))
        });
        match found {
            Err(OfflineError::Store { error: StoreError::Corrupted(text) | StoreError::Unsupported(text), .. }) => {
                Ok(vec![Defect(text)])
            }
            found => found,
        }
    }

    /// # Errors
    /// `Defects` where there are any.
    pub(super) fn expect_whole(&self, store: &dyn OfflineStore) -> Result<(), OfflineError> {
        let defects = store.check(Depth::Full).map_err(|error| self.fault(error))?;
        OfflineError::unless_whole(&self.path, &defects)
    }

    pub(super) fn fault(&self, error: StoreError) -> OfflineError {
        match error {
            StoreError::InUse(path) => OfflineError::InUse(path),
            error => OfflineError::Store { path: self.path.clone(), error },
        }
    }
}
