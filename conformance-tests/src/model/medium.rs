//! What the model has in the place of a disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use slipstream_store::{Result, StoreError};

use super::state::State;

pub(super) type SharedState = Arc<Mutex<State>>;

/// Where [`ModelStore`](super::ModelStore)s keep their states, each under a path. Clones share what is in it. It
/// lives as long as its longest-lived clone or store.
#[derive(Debug, Clone, Default)]
pub struct ModelMedium {
    slots: Arc<Mutex<BTreeMap<PathBuf, Slot>>>,
}

#[derive(Debug, Default)]
struct Slot {
    state: SharedState,
    open: bool,
}

impl ModelMedium {
    pub(super) fn claim(&self, path: &Path) -> Result<SharedState> {
        let mut slots = self.slots.lock();
        let slot = slots.entry(path.to_owned()).or_default();
        if slot.open {
            return Err(StoreError::InUse(path.to_owned()));
        }
        slot.open = true;
        Ok(Arc::clone(&slot.state))
    }

    /// The state of a shared store.
    pub(super) fn join(&self, path: &Path) -> SharedState {
        Arc::clone(&self.slots.lock().entry(path.to_owned()).or_default().state)
    }

    pub(super) fn release(&self, path: &Path) {
        if let Some(slot) = self.slots.lock().get_mut(path) {
            slot.open = false;
        }
    }

    pub(super) fn put(&self, path: &Path, state: State) -> Result<()> {
        let mut slots = self.slots.lock();
        if slots.contains_key(path) {
            return Err(StoreError::Unsupported(format!(
                "{}: expected a new path, something is there",
                path.display()
            )));
        }
        let state = Arc::new(Mutex::new(state));
        slots.insert(path.to_owned(), Slot { state, open: false });
        Ok(())
    }
}
