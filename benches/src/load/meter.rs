//! What a load counts and times while it runs.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use parking_lot::Mutex;

use super::plan::whole;

/// Latencies are told apart to one part in a thousand, from a microsecond to an hour.
const DIGITS: u8 = 3;
const LONGEST: u64 = 3_600_000_000;

/// The time since a load began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Epoch(Instant);

impl Epoch {
    pub(super) fn new() -> Self {
        Self(Instant::now())
    }

    /// In nanoseconds.
    pub(super) fn now(self) -> u64 {
        whole(self.0.elapsed().as_nanos())
    }

    pub(super) fn at(self, nanos: u64) -> Instant {
        self.0 + Duration::from_nanos(nanos)
    }
}

/// Counts events, and how long each came after it was to be.
#[derive(Debug)]
pub(super) struct Meter(Mutex<Readings>);

/// What a meter has counted.
#[derive(Debug, Clone)]
pub(super) struct Readings {
    pub(super) count: u64,
    /// When the last one came, in nanoseconds since the load began.
    pub(super) last: u64,
    /// In microseconds.
    pub(super) latency: Histogram<u64>,
}

impl Readings {
    pub(super) fn record(&mut self, intended: u64, now: u64) {
        self.count += 1;
        self.last = now;
        self.latency.saturating_record(now.saturating_sub(intended) / 1_000);
    }
}

impl Meter {
    /// # Errors
    /// None: the bounds are constants that the histogram takes.
    pub(super) fn new() -> Result<Self, hdrhistogram::CreationError> {
        let latency = Histogram::new_with_max(LONGEST, DIGITS)?;
        Ok(Self(Mutex::new(Readings { count: 0, last: 0, latency })))
    }

    /// Records events that came `now`, by when each was to be.
    pub(super) fn record(&self, intended: impl IntoIterator<Item = u64>, now: u64) {
        let mut readings = self.0.lock();
        for intended in intended {
            readings.record(intended, now);
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.0.lock().count
    }

    /// What it has counted. It counts anew from here.
    pub(super) fn take(&self) -> Readings {
        let mut readings = self.0.lock();
        let taken = readings.clone();
        readings.count = 0;
        readings.last = 0;
        readings.latency.reset();
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_runs_from_when_the_message_was_to_be_sent() {
        let meter = Meter::new().expect("bounds");
        meter.record([1_000_000, 500_000], 3_000_000);
        meter.record([9_000_000], 8_000_000);
        let readings = meter.take();
        assert_eq!((readings.count, readings.last), (3, 8_000_000));
        let within = |value: u64, wanted: u64| value.abs_diff(wanted) * 1_000 <= wanted;
        assert_eq!(readings.latency.min(), 0, "never below none");
        assert!(within(readings.latency.max(), 2_500), "{}", readings.latency.max());
        assert!(within(readings.latency.value_at_quantile(0.5), 2_000));
        assert_eq!((meter.count(), meter.take().latency.len()), (0, 0), "it counts anew");
    }

    #[test]
    fn what_takes_longer_than_an_hour_counts_as_an_hour() {
        let meter = Meter::new().expect("bounds");
        meter.record([0], u64::MAX);
        assert!(meter.take().latency.max() >= LONGEST);
    }
}
