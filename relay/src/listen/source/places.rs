//! Places for connections, and those who wait for one.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A place that is free some day.
pub(in crate::listen) type Queued = Pin<Box<dyn Future<Output = Option<Slot>> + Send>>;

/// So many places, and so many beyond them for connections that have yet to be told that there is none.
#[derive(Debug)]
pub(in crate::listen) struct Places {
    granted: Arc<Semaphore>,
    beyond: Arc<Semaphore>,
}

/// What a connection holds as long as it lives.
#[derive(Debug)]
pub(in crate::listen) struct Slot {
    #[expect(dead_code, reason = "held, not read")]
    permit: OwnedSemaphorePermit,
    is_beyond: bool,
}

impl Places {
    pub(in crate::listen) fn new(most: usize, beyond: usize) -> Self {
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        Self { granted: semaphore(most), beyond: semaphore(beyond) }
    }

    /// Returns a place, or one beyond them all.
    pub(in crate::listen) fn take(&self) -> Option<Slot> {
        let take = |semaphore: &Arc<Semaphore>, is_beyond| {
            Some(Slot { permit: Arc::clone(semaphore).try_acquire_owned().ok()?, is_beyond })
        };
        take(&self.granted, false).or_else(|| take(&self.beyond, true))
    }

    /// Waits for a place. Who has asked once stands in the queue.
    pub(in crate::listen) fn queue(&self) -> Queued {
        let granted = Arc::clone(&self.granted);
        Box::pin(async { Some(Slot { permit: granted.acquire_owned().await.ok()?, is_beyond: false }) })
    }
}

impl Slot {
    /// There is no room. The connection is told so, unless it takes over a link, whose place it then gets.
    pub(in crate::listen) fn is_beyond(&self) -> bool {
        self.is_beyond
    }
}
