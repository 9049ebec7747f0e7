//! Distributions of durations, as both measurements report them.

use hdrhistogram::Histogram;
use serde::Serialize;

/// A distribution of durations, in milliseconds. Each value is exact to one part in a thousand, or to a microsecond.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Percentiles {
    /// The median.
    pub p50: f64,
    /// Nine of ten are no longer.
    pub p90: f64,
    /// 99 of a hundred.
    pub p99: f64,
    /// 999 of a thousand.
    #[serde(rename = "p99.9")]
    pub p99_9: f64,
    /// The longest.
    pub max: f64,
}

impl Percentiles {
    /// Reads a histogram that counts in units of which a millisecond has so many.
    pub(crate) fn of(latency: &Histogram<u64>, units_a_millisecond: f64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "durations are far below 2^53 of their units")]
        let at = |quantile| latency.value_at_quantile(quantile) as f64 / units_a_millisecond;
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), p99_9: at(0.999), max: at(1.0) }
    }
}
