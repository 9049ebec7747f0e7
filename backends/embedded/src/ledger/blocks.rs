//! Blocks as the ledger has them: what is pending, which stamps were seen, which messages are stored.

use crate::rows::bits::Bits;
use crate::rows::codec::BlockRow;

/// The pending deliveries of one peer in one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct OwedBlock {
    pub(crate) bits: Bits,
    /// Those that have a row of notes.
    pub(crate) noted: Bits,
}

/// The seen stamps of one epoch in one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SeenBlock {
    pub(crate) bits: Bits,
    pub(crate) latest: u64,
}

/// A block of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct MessageBlock {
    /// Those that are stored.
    pub(crate) stored: Bits,
    /// At or before the earliest expiry of those that are pending.
    pub(crate) earliest_expiry: Option<u64>,
    /// The latest time at which one was received or a delivery of one was settled.
    pub(crate) latest_change: u64,
}

impl MessageBlock {
    pub(crate) fn row(&self) -> BlockRow {
        BlockRow {
            stored: self.stored.to_bytes(),
            earliest_expiry: self.earliest_expiry,
            latest_change: self.latest_change,
        }
    }

    pub(crate) fn from_row(row: &BlockRow) -> Self {
        Self {
            stored: Bits::from_bytes(&row.stored),
            earliest_expiry: row.earliest_expiry,
            latest_change: row.latest_change,
        }
    }

    pub(crate) fn expires_by(&mut self, expiry: Option<u64>) {
        self.earliest_expiry = self.earliest_expiry.into_iter().chain(expiry).min();
    }
}
