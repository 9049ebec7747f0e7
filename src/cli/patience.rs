//! A limit to waiting.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// A timer that comes so late tells that this program stood still, and nothing of whom it waits for.
pub(super) const LATE: Duration = Duration::from_secs(1);

/// Waits for so long, while the program runs.
pub(super) struct Patience {
    limit: Duration,
    since: Instant,
}

impl Patience {
    /// Waits from now on.
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, since: Instant::now() }
    }

    /// Waits from now on again.
    pub(super) fn begin_anew(&mut self) {
        self.since = Instant::now();
    }

    /// Ends when it has waited for so long.
    ///
    /// # Cancellation
    /// What was waited for already counts the next time.
    pub(super) async fn lost(&mut self) {
        loop {
            let end = self.since + self.limit;
            sleep_until(end).await;
            if Instant::now() <= end + LATE {
                return;
            }
            // After a standstill what came meanwhile is still to be read.
            self.begin_anew();
        }
    }
}
