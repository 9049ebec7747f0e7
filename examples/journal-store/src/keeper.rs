//! What the thread of a store holds: the state, and the journal that can make it again.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use slipstream_store::{Batch, Defect, Depth, Durability, Horizon, Outcome, Purged, Result, Stats, StoreError};

use crate::entry::Entry;
use crate::journal::Journal;
use crate::state::State;
use crate::{fault, image};

/// The state and its journal. Whatever changes the state is in the journal first.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) state: State,
    pub(crate) journal: Journal,
    /// The last to go: the journal is closed by then.
    _lock: File,
}

impl Keeper {
    /// Opens the store in the folder; makes it where there is none.
    pub(crate) fn open(folder: &Path, durability: Durability) -> Result<Self> {
        match image::make_folder(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(fault("making the folder", folder, &error));
            }
            _ => {}
        }
        let lock = lock(folder)?;
        let (journal, state) = Journal::open(folder, durability)?;
        image::sync_folder(image::parent(folder)).map_err(|error| fault("syncing the folder of", folder, &error))?;
        Ok(Self { state, journal, _lock: lock })
    }

    pub(crate) fn commit(&mut self, batch: &Arc<Batch>) -> Result<Vec<Outcome>> {
        if batch.operations.is_empty() {
            return Ok(Vec::new());
        }
        if !self.state.has_sequences_for(batch) {
            return Err(StoreError::Full("every sequence has been given".to_owned()));
        }
        self.journal.append(&Entry::Commit(Arc::clone(batch)))?;
        Ok(self.state.commit(batch))
    }

    pub(crate) fn purge(&mut self, horizon: Horizon, budget: NonZeroU32) -> Result<Purged> {
        let mut purged = Purged::default();
        if self.state.has_something_behind(&horizon) {
            self.journal.append(&Entry::Purge { horizon, budget })?;
            purged = self.state.purge(&horizon, budget);
        }
        if !purged.more {
            self.journal.compact(&self.state)?;
        }
        Ok(purged)
    }

    pub(crate) fn stats(&self) -> Stats {
        self.state.stats(self.journal.length())
    }

    /// A full check reads the journal from the medium, and compares what it tells with what is in memory.
    pub(crate) fn check(&self, depth: Depth) -> Result<Vec<Defect>> {
        if depth == Depth::Quick {
            return Ok(Vec::new());
        }
        match self.journal.read_again() {
            Ok(state) if state == self.state => Ok(Vec::new()),
            Ok(_) => Ok(vec![Defect("the journal tells of another state than the one in memory".to_owned())]),
            Err(StoreError::Corrupted(text) | StoreError::Unsupported(text)) => Ok(vec![Defect(text)]),
            Err(other) => Err(other),
        }
    }
}

/// Keeps others away, in this process too, until the file is closed. The file stays: were it removed, two could hold
/// locks on two files of one name.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("journal.lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(|error| fault("opening", &path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(folder.to_owned())),
        Err(TryLockError::Error(error)) => Err(fault("locking", &path, &error)),
    }
}
