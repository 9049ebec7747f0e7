//! Time and randomness. Everything that needs either asks a [`Clock`], so that a simulation can own both.
//!
//! Timers are tokio's, which a simulation owns by pausing them; what comes from here is the time that things are marked
//! with and kept by, and the time of day.

mod relay_time;

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};
use slipstream_store::Timestamp;
use ulid::Ulid;

pub use self::relay_time::{BELIEVED_AFTER, MOST_AT_ONCE, Reading, RelayTime, STEP, Step};

/// The source of time and of unique ids.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The relay's time, with which everything in the store is marked. It never goes back and never jumps, whatever the
    /// machine's own clock does: it counts the time that passed while somebody [looked](Self::look).
    fn now(&self) -> Timestamp;

    /// The time of day, which may be set. It is for what other programs say of the time, such as when a message expires.
    fn wall(&self) -> Timestamp {
        self.now()
    }

    /// Looks at the machine's clock; to be called every second or so. Tells whether it was set since the last look.
    fn look(&self) -> Option<Step> {
        None
    }

    /// Has [`now`](Self::now) go on from the newest time that a store remembers; to be called before anything is marked. The time since counts where it seems to
    /// be at most `unseen`. Tells by how much the machine's clock differs from the time that goes on, where it does.
    fn resume(&self, _remembered: Timestamp, _unseen: Duration) -> Option<Step> {
        None
    }

    /// Time since some fixed point, for measuring. It never jumps.
    fn elapsed(&self) -> Duration;

    /// A new id, larger than every id that this clock gave before.
    fn ulid(&self) -> Ulid;

    /// A random number, for jitter. It need not be unpredictable.
    fn random(&self) -> u64;
}

/// One moment, on every scale of a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// As [`Clock::now`] tells it.
    pub(crate) time: Timestamp,
    /// As [`Clock::wall`] tells it.
    pub(crate) wall: Timestamp,
    /// As [`Clock::elapsed`] tells it.
    pub(crate) elapsed: Duration,
}

impl Moment {
    pub(crate) fn now(clock: &dyn Clock) -> Self {
        Self { time: clock.now(), wall: clock.wall(), elapsed: clock.elapsed() }
    }
}

/// The clock of the machine, with the operating system's randomness.
pub struct SystemClock {
    started: Instant,
    time: RelayTime,
    ids: Mutex<ulid::Generator>,
}

impl SystemClock {
    /// A clock that starts now.
    #[must_use]
    pub fn new() -> Self {
        Self { started: Instant::now(), time: RelayTime::new(read()), ids: Mutex::new(ulid::Generator::new()) }
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
        self.time.time(steady())
    }

    fn wall(&self) -> Timestamp {
        self.time.wall(steady())
    }

    fn look(&self) -> Option<Step> {
        self.time.look(read())
    }

    fn resume(&self, remembered: Timestamp, unseen: Duration) -> Option<Step> {
        self.time.resume(remembered, unseen, read())
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn ulid(&self) -> Ulid {
        let now = UNIX_EPOCH + Duration::from_millis(self.wall().as_millis());
        match self.ids.lock().generate_from_datetime(now) {
            Ok(id) => id,
            Err(overflow) => overflow.commit_overflow_increment(),
        }
    }

    fn random(&self) -> u64 {
        fastrand::u64(..)
    }
}

fn read() -> Reading {
    #[expect(clippy::disallowed_methods, reason = "this is where the relay asks the machine for the time")]
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let wall = Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX));
    Reading { wall, steady: steady() }
}

/// The time since the machine was booted.
fn steady() -> Duration {
    // The time asleep is counted where the system can tell.
    #[cfg(target_os = "linux")]
    const CLOCK: ClockId = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: ClockId = ClockId::Monotonic;
    Duration::try_from(clock_gettime(CLOCK)).unwrap_or_default()
}

/// A fraction of `most`, from nothing up to all of it, by chance.
pub fn jitter(clock: &dyn Clock, most: Duration) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "a fraction need not be exact")]
    let fraction = clock.random() as f64 / u64::MAX as f64;
    most.mul_f64(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_ascend_and_time_goes_on() {
        let clock = SystemClock::new();
        let ids: Vec<_> = (0..1000).map(|_| clock.ulid()).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        let before = Moment::now(&clock);
        while clock.now() == before.time {}
        let after = Moment::now(&clock);
        assert!(after.time > before.time && after.wall >= before.wall && after.elapsed > before.elapsed);
    }
}
