//! The handles that were dropped and are leaving their stores. Who opens a store waits for them, so that what a handle of
//! this process had is free by then.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// Longest that one of them is waited for.
const LONGEST: Duration = Duration::from_secs(10);

static LEAVING: Mutex<Vec<Arc<Semaphore>>> = Mutex::new(Vec::new());

/// A handle that is leaving, until this is dropped.
#[derive(Debug)]
pub(crate) struct Leaving(Arc<Semaphore>);

impl Leaving {
    pub(crate) fn begin() -> Self {
        // It never has a permit: waiting for one ends when it is closed.
        let leaving = Arc::new(Semaphore::new(0));
        let mut all = LEAVING.lock();
        all.retain(|other| !other.is_closed());
        all.push(Arc::clone(&leaving));
        Self(leaving)
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Waits for those that are leaving now.
pub(crate) async fn ended() {
    let all = LEAVING.lock().clone();
    for leaving in all {
        let _ = tokio::time::timeout(LONGEST, leaving.acquire()).await;
    }
}
