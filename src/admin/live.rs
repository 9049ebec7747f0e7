//! What the dashboard is told while it is open: the last hour, and a picture of the relay every second.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::history::History;

/// Most that may watch at once.
pub(super) const MAX_WATCHERS: usize = 16;

/// What is kept for those who watch, and a way to reach them.
#[derive(Debug)]
pub(super) struct Live {
    /// The last hour. Only the sampler writes it.
    pub(super) history: Mutex<History>,
    picture: watch::Sender<Arc<str>>,
    places: Arc<Semaphore>,
}

impl Default for Live {
    fn default() -> Self {
        let places = Arc::new(Semaphore::new(MAX_WATCHERS));
        let history = Mutex::new(History::new(Instant::now()));
        Self { history, picture: watch::Sender::new("".into()), places }
    }
}

/// Somebody who watches.
#[derive(Debug)]
pub(super) struct Watcher {
    picture: watch::Receiver<Arc<str>>,
    _place: OwnedSemaphorePermit,
}

impl Watcher {
    /// The next picture; `None` if there will be none.
    pub(super) async fn next(&mut self) -> Option<Arc<str>> {
        self.picture.changed().await.ok()?;
        Some(Arc::clone(&self.picture.borrow_and_update()))
    }
}

impl Live {
    /// Has somebody watch, if there is a place.
    pub(super) fn watch(&self) -> Option<Watcher> {
        Some(Watcher { _place: self.place()?, picture: self.picture.subscribe() })
    }

    /// A place of one who watches, for as long as it is held.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Whether anybody watches.
    pub(super) fn is_watched(&self) -> bool {
        self.picture.receiver_count() > 0
    }

    /// Shows a picture, as JSON, to everybody who watches.
    pub(super) fn show(&self, picture: String) {
        self.picture.send_replace(picture.into());
    }
}
