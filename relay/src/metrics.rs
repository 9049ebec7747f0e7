//! The relay's metrics: their names, their labels, and the handles that the stages count with.
//!
//! Labels stay bounded: custom types count under `custom`, anonymous peers under `anonymous`.

use std::time::Duration;

use metrics::Unit;
use metrics::{Counter, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use slipstream_store::{DuplicateBy, MessageType};

use crate::protocol::Code;

const PROCESSED: &str = "slipstream_messages_processed_total";
const REJECTED: &str = "slipstream_messages_rejected_total";
const DUPLICATE: &str = "slipstream_messages_duplicate_total";
const LOOPED: &str = "slipstream_messages_looped_total";
const UNROUTED: &str = "slipstream_messages_unrouted_total";
const DELIVERIES: &str = "slipstream_deliveries_total";
const DEAD_LETTERS: &str = "slipstream_dead_letters_total";
const FORGOTTEN: &str = "slipstream_peers_forgotten_total";
const TAKEOVERS: &str = "slipstream_takeovers_total";
const STRAY_ACKS: &str = "slipstream_stray_acks_total";
const COMMIT_SECONDS: &str = "slipstream_commit_seconds";
const COMMIT_OPERATIONS: &str = "slipstream_commit_operations";
const LATENCY: &str = "slipstream_message_latency_seconds";
const LINK_ERRORS: &str = "slipstream_connection_errors_total";
const STALLED: &str = "slipstream_links_stalled_total";

/// The histograms and the upper bounds of their buckets.
pub const BUCKETS: [(&str, &[f64]); 3] = [
    (COMMIT_SECONDS, SECONDS),
    (COMMIT_OPERATIONS, &[1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0]),
    (LATENCY, SECONDS),
];

const SECONDS: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

/// The types that have a label of their own.
const TYPES: [&str; 7] = ["SK", "SA", "SW", "GK", "GA", "GW", "CMD"];

/// The classes of reasons for which a delivery is given up: what stands before the first `:` of a reason.
const DEAD_LETTER_CLASSES: [&str; 5] = ["unacknowledged", "rejected", "too_large", "backlog", "poison"];

/// The class of such a reason, `other` where it is none that is known.
pub(crate) fn class_of_dead_letter(reason: &str) -> &'static str {
    let class = reason.split(':').next().unwrap_or_default();
    DEAD_LETTER_CLASSES.into_iter().find(|known| *known == class).unwrap_or("other")
}

/// Handles of what is counted while messages flow. They count into the recorder that was installed when they were
/// made.
pub(crate) struct Metrics {
    processed: Vec<[Counter; 2]>,
    unrouted: Counter,
    looped: Counter,
    duplicate: [Counter; 2],
    taken_over: Counter,
    acknowledged: Counter,
    expired: Counter,
    stray_acks: Counter,
    commit_seconds: Histogram,
    commit_operations: Histogram,
    commit_latency: Histogram,
    delivery_latency: Histogram,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        describe();
        let processed = TYPES.iter().chain(["custom"].iter()).map(|label| {
            ["application", "relay"].map(|origin| counter!(PROCESSED, "type" => *label, "origin" => origin))
        });
        Self {
            processed: processed.collect(),
            unrouted: counter!(UNROUTED),
            looped: counter!(LOOPED),
            duplicate: ["identity", "stamp"].map(|by| counter!(DUPLICATE, "by" => by)),
            taken_over: counter!(TAKEOVERS),
            acknowledged: deliveries("acknowledged"),
            expired: deliveries("expired"),
            stray_acks: counter!(STRAY_ACKS),
            commit_seconds: histogram!(COMMIT_SECONDS),
            commit_operations: histogram!(COMMIT_OPERATIONS),
            commit_latency: histogram!(LATENCY, "stage" => "commit"),
            delivery_latency: histogram!(LATENCY, "stage" => "delivery"),
        }
    }

    /// A message was recorded.
    pub(crate) fn recorded(&self, message_type: &MessageType, from_relay: bool, unrouted: bool) {
        let label = TYPES.iter().position(|known| *known == message_type.as_str()).unwrap_or(TYPES.len());
        self.processed[label][usize::from(from_relay)].increment(1);
        if unrouted {
            self.unrouted.increment(1);
        }
    }

    /// A message was confirmed that long after it was read.
    pub(crate) fn confirmed(&self, after: Duration) {
        self.commit_latency.record(after);
    }

    /// An ACK settled a delivery, that long after its message was read, where that is known.
    pub(crate) fn acknowledged(&self, after: Option<Duration>) {
        if let Some(after) = after {
            self.delivery_latency.record(after);
        }
    }

    pub(crate) fn rejected(&self, code: Code) {
        counter!(REJECTED, "code" => code.as_str()).increment(1);
    }

    pub(crate) fn duplicate(&self, by: DuplicateBy) {
        let index = match by {
            DuplicateBy::Identity => 0,
            DuplicateBy::Stamp => 1,
        };
        self.duplicate[index].increment(1);
    }

    pub(crate) fn looped(&self) {
        self.looped.increment(1);
    }

    /// An ACK or NACK that settles nothing, or that cannot be read.
    pub(crate) fn stray_ack(&self) {
        self.stray_acks.increment(1);
    }

    pub(crate) fn settled(&self, outcome: &'static str) {
        match outcome {
            "acknowledged" => self.acknowledged.increment(1),
            other => deliveries(other).increment(1),
        }
    }

    pub(crate) fn expired(&self, deliveries: usize) {
        self.expired.increment(deliveries as u64);
    }

    /// A delivery was given up.
    pub(crate) fn dead_letter(&self, reason: &str) {
        counter!(DEAD_LETTERS, "reason" => class_of_dead_letter(reason)).increment(1);
    }

    /// Of two links of one peer one gives way to the other.
    pub(crate) fn taken_over(&self) {
        self.taken_over.increment(1);
    }

    /// A peer was forgotten, with what it was owed.
    pub(crate) fn forgotten(&self, durable: bool, owed: u64) {
        deliveries("forgotten").increment(owed);
        counter!(FORGOTTEN).increment(u64::from(durable));
    }

    pub(crate) fn committed(&self, operations: usize, took: Duration) {
        self.commit_seconds.record(took);
        #[expect(clippy::cast_precision_loss, reason = "a batch is far smaller than 2^52 operations")]
        self.commit_operations.record(operations as f64);
    }

    /// A link was dropped because its peer took nothing.
    pub(crate) fn link_stalled() {
        counter!(STALLED).increment(1);
    }

    /// A link ended with an error, a handshake was refused, or a dial failed.
    pub(crate) fn link_error(reason: &'static str) {
        counter!(LINK_ERRORS, "reason" => reason).increment(1);
    }
}

fn deliveries(outcome: &'static str) -> Counter {
    counter!(DELIVERIES, "outcome" => outcome)
}

/// The labels of a series that is recorded when the metrics page is asked for.
pub(crate) type Labels<'a> = &'a [(&'static str, &'a str)];

/// Sets a gauge on the metrics page that is being made.
pub(crate) fn observe(name: &'static str, labels: Labels<'_>, value: f64) {
    gauge!(name, owned(labels)).set(value);
}

/// Sets a counter on the metrics page that is being made.
pub(crate) fn count(name: &'static str, labels: Labels<'_>, value: u64) {
    counter!(name, owned(labels)).absolute(value);
}

fn owned(labels: Labels<'_>) -> Vec<metrics::Label> {
    labels.iter().map(|(name, value)| metrics::Label::new(*name, (*value).to_owned())).collect()
}

/// Describes what is recorded when the metrics page is asked for.
pub(crate) fn describe_observed() {
    describe_gauge!("slipstream_active_connections", "Links, by kind of peer");
    describe_gauge!("slipstream_backlog", "Deliveries owed to a peer, in flight ones included");
    describe_gauge!("slipstream_inflight", "Deliveries sent to a peer and not settled");
    describe_gauge!(
        "slipstream_oldest_delivery_age_seconds",
        Unit::Seconds,
        "Since when the oldest message that a peer is owed is here; 0 where it is owed none"
    );
    describe_counter!("slipstream_republishes_total", "Deliveries that were sent again for want of an answer, by peer");
    describe_gauge!(
        "slipstream_circuit_open",
        "1 where a dialled peer failed so often that it is dialled only now and then"
    );
    describe_counter!("slipstream_reconnects_total", "Links with a dialled peer that were established again");
    describe_gauge!("slipstream_dedup_identities", "Identities that are remembered");
    describe_gauge!("slipstream_dead_letters", "Dead letters");
    describe_gauge!("slipstream_store_bytes", Unit::Bytes, "Bytes that the store takes on the medium");
    describe_gauge!("slipstream_store_free_bytes", Unit::Bytes, "Bytes that are free where the store is");
    describe_gauge!("slipstream_build_info", "1, with the version and the store as labels");
}

fn describe() {
    describe_counter!(PROCESSED, "Messages recorded, by type and by whom they came from");
    describe_counter!(REJECTED, "Messages refused with a NACK, by code");
    describe_counter!(DUPLICATE, "Messages that were recorded before, by how that was known");
    describe_counter!(LOOPED, "Messages that came back to this relay");
    describe_counter!(UNROUTED, "Messages that matched no peer");
    describe_counter!(DELIVERIES, "Settled deliveries, by outcome");
    describe_counter!(DEAD_LETTERS, "Deliveries that were given up, by the class of the reason");
    describe_counter!(FORGOTTEN, "Named peers that were forgotten, because they stayed away for too long");
    describe_counter!(TAKEOVERS, "Links that gave way to another link of the same id");
    describe_counter!(STRAY_ACKS, "ACKs and NACKs that settle nothing or cannot be read");
    describe_counter!(
        LINK_ERRORS,
        "Links that ended with an error, handshakes that were refused and dials that failed, by reason"
    );
    describe_counter!(STALLED, "Links that were dropped because the peer took nothing of what it was sent");
    describe_histogram!(COMMIT_SECONDS, Unit::Seconds, "Time of a commit");
    describe_histogram!(COMMIT_OPERATIONS, "Operations in a commit");
    describe_histogram!(
        LATENCY,
        Unit::Seconds,
        "From reading a message to its confirm (commit) or to a peer's ACK (delivery)"
    );
}
