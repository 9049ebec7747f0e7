//! A message with all its deliveries. It is one row of the state, and what a trace tells.

use std::collections::BTreeMap;

use bytes::Bytes;
use slipstream_store::{DeadLetterReason, DeliveryState, PeerId, Record, Sent, Sequence, Timestamp};

/// A message that was recorded, for as long as it can be traced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// As it was recorded. Once no delivery is open the text is gone.
    pub(crate) record: Box<Record>,
    pub(crate) deliveries: BTreeMap<PeerId, Delivery>,
}

/// What a message has to do with one peer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Delivery {
    /// What the relay may still have to do with it. An adoption gives it to another peer.
    pub(crate) open: Option<Open>,
    /// The newest sequence under which it was settled or redriven.
    pub(crate) newest: Option<Newest>,
    /// What was ever sent.
    pub(crate) sent: Sent,
}

/// A delivery that is pending or a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) sequence: Sequence,
    pub(crate) state: OpenState,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OpenState {
    Pending { attempts: u32, last_attempt_at: Option<Timestamp> },
    Dead { reason: DeadLetterReason, attempts: u32, at: Timestamp },
}

impl OpenState {
    /// As a delivery is right after it was recorded or redriven.
    pub(crate) const NEW: Self = Self::Pending { attempts: 0, last_attempt_at: None };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Newest {
    pub(crate) sequence: Sequence,
    /// Nothing since it was redriven.
    pub(crate) settled: Option<Settled>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) how: DeliveryState,
    pub(crate) at: Timestamp,
}

impl Delivery {
    /// Notes how the delivery was settled. One that is settled twice under a sequence, which takes an adoption or a late
    /// acknowledgement of a dead letter, counts as it was settled at the latest time.
    pub(crate) fn settle(&mut self, sequence: Sequence, settled: Settled) {
        self.sent = self.sent.and_settled(settled.how);
        let rank = |settled: Settled| (settled.at, settled.how != DeliveryState::Dead, settled.how as u8);
        let counts = self.newest.is_none_or(|newest| {
            let later = newest.settled.is_none_or(|before| rank(settled) > rank(before));
            sequence > newest.sequence || (sequence == newest.sequence && later)
        });
        if counts {
            self.newest = Some(Newest { sequence, settled: Some(settled) });
        }
    }
}

impl Message {
    /// When the last delivery was settled, where none is open any more.
    pub(crate) fn finished_at(&self) -> Option<Timestamp> {
        if self.deliveries.values().any(|delivery| delivery.open.is_some()) {
            return None;
        }
        let settled = self.deliveries.values().filter_map(|delivery| delivery.newest?.settled);
        Some(settled.map(|settled| settled.at).max().unwrap_or(self.record.received_at))
    }

    /// Of a finished message only the trace is kept.
    pub(crate) fn drop_text(&mut self) {
        self.record.text = Bytes::new();
    }

    /// About how many bytes a finished message takes.
    pub(crate) fn trace_bytes(&self) -> u64 {
        let names =
            self.record.identity.id.as_str().len() + self.record.key.as_ref().map_or(0, |key| key.as_str().len());
        (size_of::<Record>() + names + self.deliveries.len() * size_of::<(PeerId, Delivery)>()) as u64
    }
}
