//! What has flowed through one relay since it was opened: counted beside the metrics, which a process has only once, for
//! whoever looks at this relay.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What is counted. Every count only grows.
#[derive(Debug, Default)]
pub(crate) struct FlowCounts {
    received: AtomicU64,
    delivered: AtomicU64,
    confirm: LatencyCounts,
    delivery: LatencyCounts,
}

impl FlowCounts {
    pub(super) fn received(&self, messages: u64) {
        self.received.fetch_add(messages, Ordering::Relaxed);
    }

    pub(super) fn confirmed(&self, after: Duration, messages: usize) {
        self.confirm.record(after, messages);
    }

    pub(super) fn delivered(&self, after: Option<Duration>, deliveries: usize) {
        self.delivered.fetch_add(deliveries as u64, Ordering::Relaxed);
        if let Some(after) = after {
            self.delivery.record(after, deliveries);
        }
    }

    /// The counts now.
    pub(crate) fn totals(&self) -> Flow {
        Flow {
            received: self.received.load(Ordering::Relaxed),
            delivered: self.delivered.load(Ordering::Relaxed),
            confirm: self.confirm.totals(),
            delivery: self.delivery.totals(),
        }
    }
}

/// What has flowed through a relay since it was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flow {
    /// Messages that were recorded.
    pub received: u64,
    /// Deliveries that were acknowledged.
    pub delivered: u64,
    /// From reading a message to its confirm.
    pub confirm: Latencies,
    /// From reading a message to the ACK of a peer, where the message was read since then.
    pub delivery: Latencies,
}

/// How many latencies there were, by their length: four buckets to each doubling, from a microsecond to beyond an hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latencies([u64; BUCKETS]);

const PARTS: u32 = 4;
const BUCKETS: usize = 32 * PARTS as usize;

impl Default for Latencies {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl Latencies {
    /// Those that came after `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self(std::array::from_fn(|bucket| self.0[bucket].saturating_sub(earlier.0[bucket])))
    }

    /// The latency that this share of them (0 to 1) does not exceed, to within an eighth; `None` if there are none.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let all: u64 = self.0.iter().sum();
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let rank = (all as f64 * share.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
        let mut below = 0;
        let bucket = self.0.iter().position(|count| {
            below += count;
            below >= rank
        });
        bucket.filter(|_| all > 0).map(|bucket| (start(bucket) + start(bucket + 1)) / 2)
    }
}

#[derive(Debug)]
struct LatencyCounts([AtomicU64; BUCKETS]);

impl Default for LatencyCounts {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl LatencyCounts {
    fn record(&self, latency: Duration, count: usize) {
        self.0[bucket(latency)].fetch_add(count as u64, Ordering::Relaxed);
    }

    fn totals(&self) -> Latencies {
        Latencies(std::array::from_fn(|bucket| self.0[bucket].load(Ordering::Relaxed)))
    }
}

/// Which bucket counts a latency: by the position of its highest bit, and by the two bits below that: four
/// buckets to each doubling.
fn bucket(latency: Duration) -> usize {
    let micros = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX).max(1);
    let doublings = micros.ilog2();
    let part = if doublings >= 2 { micros >> (doublings - 2) } else { micros << (2 - doublings) } - PARTS;
    (doublings * PARTS + part) as usize
}

/// The shortest latency of a bucket.
fn start(bucket: usize) -> Duration {
    let (doublings, part) = (bucket as u64 / u64::from(PARTS), bucket as u64 % u64::from(PARTS));
    Duration::from_nanos(((u64::from(PARTS) + part) * 1000 / u64::from(PARTS)) << doublings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_latency_is_counted_where_it_belongs() {
        for micros in (0..5_000).chain((5_000..4_000_000).step_by(997)).chain([u64::from(u32::MAX), u64::MAX / 2]) {
            let latency = Duration::from_micros(micros);
            let bucket = bucket(latency);
            let counted = latency.clamp(Duration::from_micros(1), Duration::from_micros(u64::from(u32::MAX)));
            assert!(start(bucket) <= counted && counted < start(bucket + 1), "{latency:?} in {bucket}");
        }
    }

    #[test]
    fn quantiles_of_what_came_between_two_looks() {
        let counts = LatencyCounts::default();
        counts.record(Duration::from_secs(3), 2);
        let before = counts.totals();
        assert_eq!(before.since(&before).quantile(0.5), None);
        (1..=1_000).for_each(|millis| counts.record(Duration::from_millis(millis), 1));
        let between = counts.totals().since(&before);
        for (share, expected) in [(0.0, 1.0), (0.5, 500.0), (0.99, 990.0), (1.0, 1_000.0)] {
            let millis = between.quantile(share).expect("there were some").as_secs_f64() * 1e3;
            assert!((millis / expected - 1.0).abs() <= 0.125, "{share}: {millis} for {expected}");
        }
    }
}
