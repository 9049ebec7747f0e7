//! A recorder that tells what was counted on this thread.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, LocalRecorderGuard, Metadata, Recorder, SharedString, Unit};
use parking_lot::Mutex;

/// Counts connection errors by reason.
#[derive(Default)]
pub(super) struct Counting(Mutex<HashMap<String, Arc<AtomicU64>>>);

impl Counting {
    /// Counts what happens on this thread as long as the guard lives.
    pub(super) fn here(&self) -> LocalRecorderGuard<'_> {
        metrics::set_default_local_recorder(self)
    }

    pub(super) fn of(&self, reason: &str) -> u64 {
        self.0.lock().get(reason).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

impl Recorder for Counting {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        if key.name() != "slipstream_connection_errors_total" {
            return Counter::noop();
        }
        let reason = key.labels().map(|label| label.value().to_owned()).collect();
        Counter::from_arc(Arc::clone(self.0.lock().entry(reason).or_default()))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
