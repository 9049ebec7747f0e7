//! What a load has measured.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::measured::{Measured, Standing};
use super::meter::Readings;
use super::usage::Sample;
use crate::percentiles::Percentiles;

/// The result of a load. As JSON it is what `--json` prints.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The mode by its name.
    pub mode: &'static str,
    /// The relay that was asked.
    pub to: String,
    /// The id that it gave itself.
    pub relay_id: Option<String>,
    /// The run, which is part of the tag, the ids and the message ids that it used.
    pub run: String,
    /// Links that published.
    pub publishers: u16,
    /// Links that subscribed.
    pub subscribers: u16,
    /// Most messages of a publisher that were not confirmed.
    pub window: u32,
    /// Bytes of a value.
    pub payload_bytes: usize,
    /// Bytes of a message as it was sent.
    pub message_bytes: usize,
    /// Most ids in one ACK.
    pub ack_batch: u16,
    /// Keys that each publisher went round, where they were not all different.
    pub keys: Option<u64>,
    /// The rate of the schedule, in messages a second, where there was one.
    pub rate_per_second: Option<u32>,
    /// What was measured, in order.
    pub stages: Vec<Stage>,
    /// What was not as it should be.
    pub faults: Faults,
    /// Why there is no usage of the relay, where there is none.
    pub relay_usage_unavailable: Option<String>,
}

/// A part of a load that is measured by itself.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    /// `live`, `paced`, `fan-out`; `store` and `drain` of a load in mode offline.
    pub name: &'static str,
    /// Messages that the relay confirmed to their publishers; none where the stage did not publish.
    pub confirmed: Option<Count>,
    /// Messages that came to subscribers and were acknowledged, for each subscriber; none where none was connected.
    pub delivered: Option<Count>,
    /// From when a message was to be sent to its confirm.
    pub confirm_latency_ms: Option<Percentiles>,
    /// From when a message was to be sent to its delivery; none where the subscribers were away.
    pub delivery_latency_ms: Option<Percentiles>,
    /// How late the generator itself handed messages to their links, where there was a schedule. It is part of the
    /// latencies.
    pub send_delay_ms: Option<Percentiles>,
    /// What the relay took for it.
    pub relay: Option<Usage>,
    /// What this program took for it.
    pub generator: Option<Usage>,
}

/// How many, and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Count {
    /// How many there were.
    pub count: u64,
    /// From the beginning of the stage to the last.
    pub seconds: f64,
    /// The quotient.
    pub per_second: f64,
}

/// What a process took during a stage.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Processor time, user and system.
    pub cpu_seconds: f64,
    /// Of it, for each message that was confirmed.
    pub cpu_micros_per_message: Option<f64>,
    /// Of it, for each delivery.
    pub cpu_micros_per_delivery: Option<f64>,
    /// The most resident memory that was seen.
    pub peak_resident_bytes: u64,
}

/// What was not as it should be, over the whole load with its warm-up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Faults {
    /// Messages that were sent, for the others to be seen beside it.
    pub sent: u64,
    /// Messages without an answer.
    pub unconfirmed: u64,
    /// Messages that were refused.
    pub refused: u64,
    /// How many for each reason.
    pub refusals: BTreeMap<String, u64>,
    /// Deliveries that did not come: of each confirmed message, one to each subscriber.
    pub missing: u64,
    /// Deliveries that came after a later one of the same publisher.
    pub out_of_order: u64,
    /// Deliveries that came again. The protocol allows them after a lost ACK; a load loses none.
    pub duplicates: u64,
    /// Confirms that came again.
    pub confirmed_again: u64,
    /// Texts that a relay does not send.
    pub stray: u64,
    /// Whether the load was given up because nothing came any more.
    pub stalled: bool,
}

impl Faults {
    pub(super) fn new(standing: Standing, stalled: bool) -> Self {
        Self {
            sent: standing.sent,
            unconfirmed: standing.unconfirmed,
            refused: standing.refused.values().sum(),
            refusals: standing.refused,
            missing: standing.missing,
            out_of_order: standing.out_of_order,
            duplicates: standing.duplicates,
            confirmed_again: standing.confirmed_again,
            stray: standing.stray,
            stalled,
        }
    }

    /// What breaks the relay's promise, in words; `None` where nothing does. Duplicates do not.
    #[must_use]
    pub fn told(&self) -> Option<String> {
        let refusals: Vec<_> = self.refusals.iter().map(|(reason, count)| format!("{count} × {reason}")).collect();
        let mut told = Vec::new();
        for (count, what) in [
            (self.unconfirmed, "messages were not confirmed".to_owned()),
            (self.refused, format!("messages were refused ({})", refusals.join(", "))),
            (self.missing, "deliveries are missing".to_owned()),
            (self.out_of_order, "deliveries came out of order".to_owned()),
            (self.stray, "texts came that a relay does not send".to_owned()),
        ] {
            if count > 0 {
                told.push(format!("{count} {what}"));
            }
        }
        if self.stalled {
            told.push("the load was given up because nothing came any more".to_owned());
        }
        (!told.is_empty()).then(|| told.join("; "))
    }
}

impl Count {
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    fn new(start: u64, readings: &Readings) -> Self {
        let seconds = readings.last.saturating_sub(start) as f64 / 1e9;
        let per_second = if seconds > 0.0 { readings.count as f64 / seconds } else { 0.0 };
        Self { count: readings.count, seconds, per_second }
    }
}

/// Reads a histogram of microseconds; none where it has nothing.
fn percentiles(latency: &Histogram<u64>) -> Option<Percentiles> {
    (!latency.is_empty()).then(|| Percentiles::of(latency, 1e3))
}

impl Stage {
    /// What a stage measured. `published` and `subscribed` tell what went on in it.
    pub(super) fn new(name: &'static str, measured: &Measured, published: bool, subscribed: bool) -> Self {
        let count = |readings| Count::new(measured.start, readings);
        Self {
            name,
            confirmed: published.then(|| count(&measured.confirms)),
            delivered: subscribed.then(|| count(&measured.deliveries)),
            confirm_latency_ms: percentiles(&measured.confirms.latency).filter(|_| published),
            delivery_latency_ms: percentiles(&measured.deliveries.latency).filter(|_| published && subscribed),
            send_delay_ms: percentiles(&measured.sends.latency),
            relay: None,
            generator: None,
        }
    }

    /// The usage between two samples, with the most resident memory in between.
    pub(super) fn usage(&self, before: &Sample, after: &Sample, peak_resident: f64) -> Usage {
        let cpu_seconds = after.cpu - before.cpu;
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
        let for_each = |count: Option<Count>| {
            count.filter(|count| count.count > 0).map(|count| cpu_seconds * 1e6 / count.count as f64)
        };
        Usage {
            cpu_seconds,
            cpu_micros_per_message: for_each(self.confirmed),
            cpu_micros_per_delivery: for_each(self.delivered),
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a number of bytes")]
            peak_resident_bytes: peak_resident as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::meter::Meter;
    use super::*;

    fn readings(latencies: impl IntoIterator<Item = u64>, now: u64) -> Readings {
        let meter = Meter::new().expect("bounds");
        meter.record(latencies.into_iter().map(|micros| now - micros * 1_000), now);
        meter.take()
    }

    fn stage(published: bool, subscribed: bool) -> Stage {
        let measured = Measured {
            start: 1_000_000_000,
            sends: readings([], 0),
            confirms: readings(1..=1_000, 3_000_000_000),
            deliveries: readings([5; 4_000], 5_000_000_000),
            stalled: false,
        };
        Stage::new("live", &measured, published, subscribed)
    }

    #[test]
    fn rates_run_from_the_beginning_of_the_stage_to_the_last_event() {
        let stage = stage(true, true);
        assert_eq!(stage.confirmed, Some(Count { count: 1_000, seconds: 2.0, per_second: 500.0 }));
        assert_eq!(stage.delivered, Some(Count { count: 4_000, seconds: 4.0, per_second: 1_000.0 }));
        let expected = Percentiles { p50: 0.5, p90: 0.9, p99: 0.99, p99_9: 0.999, max: 1.0 };
        assert_eq!(stage.confirm_latency_ms, Some(expected));
        assert_eq!(stage.send_delay_ms, None);
    }

    #[test]
    fn what_did_not_go_on_is_absent_rather_than_nothing() {
        let stored = stage(true, false);
        assert!(stored.confirmed.is_some() && stored.delivered.is_none() && stored.delivery_latency_ms.is_none());
        let drained = stage(false, true);
        assert!(drained.confirmed.is_none() && drained.delivered.is_some());
        assert_eq!((drained.confirm_latency_ms, drained.delivery_latency_ms), (None, None));
    }

    #[test]
    fn processor_time_is_told_for_each_message_and_each_delivery() {
        let sample = |cpu| Sample { cpu, resident: 0.0, processed: None };
        let usage = stage(true, true).usage(&sample(1.0), &sample(1.5), 4096.0);
        assert_eq!((usage.cpu_micros_per_message, usage.cpu_micros_per_delivery), (Some(500.0), Some(125.0)));
        assert_eq!((usage.cpu_seconds, usage.peak_resident_bytes), (0.5, 4096));
    }

    #[test]
    fn each_broken_promise_is_told_and_duplicates_are_none() {
        assert_eq!(Faults { sent: 9, duplicates: 3, confirmed_again: 1, ..Faults::default() }.told(), None);
        let faults = Faults {
            unconfirmed: 1,
            refused: 5,
            refusals: BTreeMap::from([("not_allowed: x".to_owned(), 3), ("rate_limited: y".to_owned(), 2)]),
            missing: 6,
            out_of_order: 7,
            stray: 8,
            stalled: true,
            ..Faults::default()
        };
        assert_eq!(
            faults.told().expect("faults"),
            "1 messages were not confirmed; 5 messages were refused (3 × not_allowed: x, 2 × rate_limited: y); \
             6 deliveries are missing; 7 deliveries came out of order; 8 texts came that a relay does not send; \
             the load was given up because nothing came any more"
        );
    }
}
