//! Whether the store does what it is asked to, for all to see.

use std::time::Duration;

use parking_lot::Mutex;
use slipstream_store::{Result, StoreError};
use tracing::{error, info};

use crate::clock::Clock;

/// How long a failed commit counts as the state of the store, where no other follows.
const FAILURE_COUNTS_FOR: Duration = Duration::from_secs(10);

/// Work of the store that takes longer than this is a reason not to be ready.
const WORK_TAKES_AT_MOST: Duration = Duration::from_secs(3);

/// How the store is doing. The committer notes it.
#[derive(Debug, Default)]
pub(in crate::relay) struct StoreHealth(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    /// What the committer waits for, and since when.
    running: Option<(&'static str, Duration)>,
    /// Why the last commit failed, and when.
    failure: Option<(StoreError, Duration)>,
    /// Why the store is not to be had.
    unavailable: Option<StoreError>,
}

impl StoreHealth {
    /// Why the store does not commit, where it does not.
    pub(in crate::relay) fn trouble(&self, clock: &dyn Clock) -> Option<String> {
        let noted = self.0.lock();
        let now = clock.elapsed();
        if let Some(error) = &noted.unavailable {
            return Some(error.to_string());
        }
        let running = noted.running.map(|(work, since)| (work, now.saturating_sub(since)));
        if let Some((work, running)) = running.filter(|(_, running)| *running > WORK_TAKES_AT_MOST) {
            return Some(format!("{work} has been running for {} s", running.as_secs()));
        }
        let (error, at) = noted.failure.as_ref()?;
        (now.saturating_sub(*at) < FAILURE_COUNTS_FOR).then(|| error.to_string())
    }

    /// Whether the committer waits for the store.
    pub(in crate::relay) fn is_awaited(&self) -> bool {
        self.0.lock().running.is_some()
    }

    /// The store begins work for which the committer waits, such as `a commit`.
    pub(super) fn begins(&self, work: &'static str, clock: &dyn Clock) {
        self.0.lock().running = Some((work, clock.elapsed()));
    }

    /// That work has ended.
    pub(super) fn ends(&self) {
        self.0.lock().running = None;
    }

    /// A try to commit has ended so; where `is_last`, the commit has.
    pub(super) fn tried<T>(&self, result: &Result<T>, is_last: bool, clock: &dyn Clock) {
        let mut noted = self.0.lock();
        noted.failure = result.as_ref().err().map(|error| (error.clone(), clock.elapsed()));
        if is_last {
            noted.running = None;
        }
        noted.look_for(result);
    }

    /// A purge has ended so. That it did tells only that the store is there: it may have had nothing to write.
    pub(super) fn purged<T>(&self, result: &Result<T>) {
        let mut noted = self.0.lock();
        noted.running = None;
        noted.look_for(result);
    }
}

impl Noted {
    fn look_for<T>(&mut self, result: &Result<T>) {
        match result {
            Err(gone @ StoreError::Unavailable(_)) => {
                if self.unavailable.is_none() {
                    error!("{gone}; messages are refused");
                }
                self.unavailable = Some(gone.clone());
            }
            Ok(_) if self.unavailable.take().is_some() => info!("the store is available again; messages are taken"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use slipstream_store::Timestamp;
    use ulid::Ulid;

    use super::*;

    #[derive(Debug, Default)]
    struct Seconds(AtomicU64);

    impl Clock for Seconds {
        fn now(&self) -> Timestamp {
            Timestamp::ZERO
        }

        fn elapsed(&self) -> Duration {
            Duration::from_secs(self.0.load(Ordering::Relaxed))
        }

        fn ulid(&self) -> Ulid {
            Ulid::nil()
        }

        fn random(&self) -> u64 {
            0
        }
    }

    #[test]
    fn a_commit_that_runs_for_long_or_failed_lately_is_trouble() {
        let (clock, health) = (Seconds::default(), StoreHealth::default());
        let after = |seconds| {
            clock.0.fetch_add(seconds, Ordering::Relaxed);
            health.trouble(&clock)
        };
        let busy: Result<()> = Err(StoreError::Busy("locked".to_owned()));
        assert!(!health.is_awaited());
        health.begins("a commit", &clock);
        assert!(health.is_awaited());
        assert_eq!(after(3), None);
        assert_eq!(after(9).as_deref(), Some("a commit has been running for 12 s"));
        health.tried(&busy, true, &clock);
        assert!(!health.is_awaited());
        assert!(after(9).is_some_and(|reason| reason.contains("locked")));
        assert_eq!(after(1), None, "nobody has tried since");
        health.tried(&busy, false, &clock);
        assert!(after(0).is_some());
        health.purged(&Ok(()));
        assert!(after(0).is_some(), "a purge may have written nothing");
        health.tried(&Ok(()), true, &clock);
        assert_eq!(after(100), None);
        health.begins("a purge", &clock);
        assert_eq!(after(4).as_deref(), Some("a purge has been running for 4 s"));
        health.purged(&Ok(()));
        assert_eq!((after(0), health.is_awaited()), (None, false));
    }

    #[test]
    fn a_store_that_is_gone_is_trouble_until_it_is_back() {
        let (clock, health) = (Seconds::default(), StoreHealth::default());
        let gone: Result<()> = Err(StoreError::Unavailable("it was removed".to_owned()));
        health.purged(&gone);
        clock.0.store(1_000, Ordering::Relaxed);
        assert!(health.trouble(&clock).is_some_and(|reason| reason.contains("removed")));
        health.purged(&Err::<(), _>(StoreError::Full("no room".to_owned())));
        assert!(health.trouble(&clock).is_some());
        health.purged(&Ok(()));
        assert_eq!(health.trouble(&clock), None);
    }
}
