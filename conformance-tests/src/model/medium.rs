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
    places: Arc<Mutex<BTreeMap<PathBuf, Place>>>,
}

#[derive(Debug, Default)]
struct Place {
    state: SharedState,
    open: bool,
}

impl ModelMedium {
    pub(super) fn claim(&self, path: &Path) -> Result<SharedState> {
        let mut places = self.places.lock();
        let place = places.entry(path.to_owned()).or_default();
        if place.open {
            return Err(StoreError::InUse(path.to_owned()));
        }
        place.open = true;
        Ok(Arc::clone(&place.state))
    }

    pub(super) fn release(&self, path: &Path) {
        if let Some(place) = self.places.lock().get_mut(path) {
            place.open = false;
        }
    }

    pub(super) fn put(&self, path: &Path, state: State) -> Result<()> {
        let mut places = self.places.lock();
        if places.contains_key(path) {
            return Err(StoreError::Unsupported(format!(
                "{}: expected a new path, something is there",
                path.display()
            )));
        }
        let state = Arc::new(Mutex::new(state));
        places.insert(path.to_owned(), Place { state, open: false });
        Ok(())
    }
}
