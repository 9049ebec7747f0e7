//! Time and randomness. Everything that needs either asks a [`Clock`], so that a simulation can own both.
//!
//! Timers are tokio's, which a simulation owns by pausing them; what comes from here is the wall clock.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use slipstream_store::Timestamp;
use ulid::Ulid;

/// The source of wall-clock time and of unique ids.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time. It never goes back while the clock lives, whatever the machine's own clock does.
    fn now(&self) -> Timestamp;

    /// Time since some fixed point, for measuring. It never jumps.
    fn elapsed(&self) -> Duration;

    /// A new id, larger than every id that this clock gave before.
    fn ulid(&self) -> Ulid;

    /// A random number, for jitter. It need not be unpredictable.
    fn random(&self) -> u64;
}

/// One moment, on both scales of a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// As [`Clock::now`] tells it.
    pub(crate) time: Timestamp,
    /// As [`Clock::elapsed`] tells it.
    pub(crate) elapsed: Duration,
}

impl Moment {
    pub(crate) fn now(clock: &dyn Clock) -> Self {
        Self { time: clock.now(), elapsed: clock.elapsed() }
    }
}

/// The clock of the machine, with the operating system's randomness.
pub struct SystemClock {
    started: Instant,
    latest: AtomicU64,
    ids: Mutex<ulid::Generator>,
}

impl SystemClock {
    /// A clock that starts now.
    #[must_use]
    pub fn new() -> Self {
        Self { started: Instant::now(), latest: AtomicU64::new(0), ids: Mutex::new(ulid::Generator::new()) }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SystemClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SystemClock")
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine for the time")]
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
        let latest = self.latest.fetch_max(millis, Ordering::Relaxed).max(millis);
        Timestamp::from_millis(latest)
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn ulid(&self) -> Ulid {
        let now = UNIX_EPOCH + Duration::from_millis(self.now().as_millis());
        match self.ids.lock().generate_from_datetime(now) {
            Ok(id) => id,
            Err(overflow) => overflow.commit_overflow_increment(),
        }
    }

    fn random(&self) -> u64 {
        fastrand::u64(..)
    }
}

/// A fraction of `most`, from nothing up to all of it, by chance.
pub(crate) fn jitter(clock: &dyn Clock, most: Duration) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "a fraction need not be exact")]
    let fraction = clock.random() as f64 / u64::MAX as f64;
    most.mul_f64(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_ascend_and_time_does_not_go_back() {
        let clock = SystemClock::new();
        let ids: Vec<_> = (0..1000).map(|_| clock.ulid()).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        clock.latest.store(u64::MAX >> 8, Ordering::Relaxed);
        assert_eq!(clock.now(), Timestamp::from_millis(u64::MAX >> 8), "the machine's clock was set back");
    }
}
