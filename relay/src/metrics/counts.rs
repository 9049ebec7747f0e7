//! Handles of what is counted while messages flow.

use std::time::Duration;

use metrics::{Counter, Histogram};
use slipstream_store::{DeadLetterReason, DuplicateBy, MessageType, PeerKind};

use super::flow::FlowCounts;
use super::labels::{CUSTOM, NO_ROOM, OUTCOMES, REASONS, TYPES, kind_label};
use super::table::{
    COMMIT_OPERATIONS, COMMIT_SECONDS, DEAD_LETTERS_TOTAL, DELIVERIES, DUPLICATE, FORGOTTEN, LATENCY, LINK_ERRORS,
    LOOPED, PROCESSED, REJECTED, STALLED, STRAY_ACKS, TAKEOVERS, UNROUTED, describe_counted,
};
use crate::protocol::Code;

/// What the stages count with. It counts into the recorder that was installed when it was made.
pub(crate) struct Metrics {
    pub(crate) flow: FlowCounts,
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
        describe_counted();
        show_zeros();
        let processed = TYPES.into_iter().chain([CUSTOM]).map(|label| {
            [PeerKind::Application, PeerKind::Relay].map(|origin| PROCESSED.counter([label, kind_label(origin)]))
        });
        Self {
            flow: FlowCounts::default(),
            processed: processed.collect(),
            unrouted: UNROUTED.counter([]),
            looped: LOOPED.counter([]),
            duplicate: ["identity", "stamp"].map(|by| DUPLICATE.counter([by])),
            taken_over: TAKEOVERS.counter([]),
            acknowledged: DELIVERIES.counter(["acknowledged"]),
            expired: DELIVERIES.counter(["expired"]),
            stray_acks: STRAY_ACKS.counter([]),
            commit_seconds: COMMIT_SECONDS.histogram([]),
            commit_operations: COMMIT_OPERATIONS.histogram([]),
            commit_latency: LATENCY.histogram(["commit"]),
            delivery_latency: LATENCY.histogram(["delivery"]),
        }
    }

    /// These messages were recorded.
    pub(crate) fn recorded(&self, recorded: &Recorded) {
        for (counters, counts) in self.processed.iter().zip(&recorded.processed) {
            for (counter, count) in counters.iter().zip(counts).filter(|(_, count)| **count > 0) {
                counter.increment(*count);
                self.flow.received(*count);
            }
        }
        self.unrouted.increment(recorded.unrouted);
    }

    /// Messages were confirmed that long after they were read.
    pub(crate) fn confirmed(&self, after: Duration, messages: usize) {
        self.commit_latency.record_many(after, messages);
        self.flow.confirmed(after, messages);
    }

    /// Deliveries were settled by ACKs, that long after their messages were read, where that is known.
    pub(crate) fn acknowledged(&self, after: Option<Duration>, deliveries: usize) {
        self.flow.delivered(after, deliveries);
        if let Some(after) = after {
            self.delivery_latency.record_many(after, deliveries);
        }
    }

    pub(crate) fn rejected(&self, code: Code) {
        REJECTED.counter([code.as_str()]).increment(1);
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

    /// ACKs or NACKs that settle nothing, or that cannot be read.
    pub(crate) fn stray_acks(&self, count: usize) {
        self.stray_acks.increment(count as u64);
    }

    pub(crate) fn settled(&self, outcome: &'static str, deliveries: usize) {
        match outcome {
            "acknowledged" => self.acknowledged.increment(deliveries as u64),
            other => DELIVERIES.counter([other]).increment(deliveries as u64),
        }
    }

    pub(crate) fn expired(&self, deliveries: usize) {
        self.expired.increment(deliveries as u64);
    }

    /// A delivery was given up.
    pub(crate) fn dead_letter(&self, reason: &DeadLetterReason) {
        DEAD_LETTERS_TOTAL.counter([reason.class()]).increment(1);
    }

    /// Of two links of one peer one gives way to the other.
    pub(crate) fn taken_over(&self) {
        self.taken_over.increment(1);
    }

    /// A peer was forgotten, with what it was owed.
    pub(crate) fn forgotten(&self, durable: bool, owed: u64) {
        DELIVERIES.counter(["forgotten"]).increment(owed);
        FORGOTTEN.counter([]).increment(u64::from(durable));
    }

    pub(crate) fn committed(&self, operations: usize, took: Duration) {
        self.commit_seconds.record(took);
        #[expect(clippy::cast_precision_loss, reason = "a batch is far smaller than 2^52 operations")]
        self.commit_operations.record(operations as f64);
    }

    /// A link was dropped because its peer took nothing.
    pub(crate) fn link_stalled() {
        STALLED.counter([]).increment(1);
    }

    /// A link ended with an error, a handshake was refused, or a dial failed.
    pub(crate) fn link_error(reason: &'static str) {
        LINK_ERRORS.counter([reason]).increment(1);
    }
}

/// The messages that a commit has recorded, which are counted at once.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    /// By type and by who sent them.
    processed: [[u64; 2]; TYPES.len() + 1],
    unrouted: u64,
}

impl Recorded {
    pub(crate) fn add(&mut self, message_type: &MessageType, from_relay: bool, unrouted: bool) {
        let label = TYPES.iter().position(|known| *known == message_type.as_str()).unwrap_or(TYPES.len());
        self.processed[label][usize::from(from_relay)] += 1;
        self.unrouted += u64::from(unrouted);
    }
}

/// Shows the counters that begin later as 0 from the start on, so that the first time is an increase.
fn show_zeros() {
    for counter in (OUTCOMES.into_iter().map(|outcome| DELIVERIES.counter([outcome])))
        .chain(REASONS.into_iter().map(|reason| DEAD_LETTERS_TOTAL.counter([reason])))
        .chain(Code::ALL.into_iter().map(|code| REJECTED.counter([code.as_str()])))
        .chain(NO_ROOM.into_iter().map(|reason| LINK_ERRORS.counter([reason])))
        .chain([STALLED.counter([]), FORGOTTEN.counter([])])
    {
        counter.increment(0);
    }
}
