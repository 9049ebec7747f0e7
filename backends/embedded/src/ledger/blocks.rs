//! Blocks as the ledger has them: what is pending, which stamps were seen, which messages are stored.

use slipstream_store::Result;

use crate::rows::bits::Bits;
use crate::rows::codec::{self, BlockRow};
use crate::rows::packed;

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
    /// Those that are stored. A pack may still have others.
    pub(crate) stored: Bits,
    /// Those at which a pack begins.
    pub(crate) packs: Bits,
    /// At or before the earliest expiry of those that are pending.
    pub(crate) earliest_expiry: Option<u64>,
    /// The latest time at which one was received or a delivery of one was settled.
    pub(crate) latest_change: u64,
}

impl MessageBlock {
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let row = BlockRow {
            stored: self.stored.to_bytes(),
            earliest_expiry: self.earliest_expiry,
            latest_change: self.latest_change,
        };
        codec::encode_block(&row, &self.packs.to_bytes())
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let (row, packs) = codec::decode_block(bytes)?;
        Ok(Self {
            stored: Bits::from_bytes(&row.stored),
            packs: Bits::from_bytes(&packs),
            earliest_expiry: row.earliest_expiry,
            latest_change: row.latest_change,
        })
    }

    pub(crate) fn expires_by(&mut self, expiry: Option<u64>) {
        self.earliest_expiry = self.earliest_expiry.into_iter().chain(expiry).min();
    }

    /// The packs of which at most half is left, and which sequences they cover: by how many sequences were given, of which
    /// some may have had no recipients.
    pub(crate) fn sparse_packs(&self, number: u64, next_sequence: u64) -> impl Iterator<Item = (u64, Bits)> {
        packed::packs_with(number, self.packs, self.packs).filter(move |(_, within)| {
            let mut given = *within;
            given.keep_below(number, next_sequence);
            2 * (self.stored & *within).count() <= given.count()
        })
    }

    /// Takes messages out; their packs are as they were.
    pub(crate) fn remove(&mut self, gone: Bits) {
        self.stored = self.stored & !gone;
        if self.stored.is_empty() {
            self.earliest_expiry = None;
        }
    }

    /// Takes out the packs of which nothing is left, and returns their keys.
    pub(crate) fn take_empty_packs(&mut self, number: u64) -> Vec<u64> {
        let packs = packed::packs_with(number, self.packs, self.packs);
        let empty = packs.filter(|(_, within)| (self.stored & *within).is_empty());
        let empty: Vec<u64> = empty.map(|(first, _)| first).collect();
        empty.iter().for_each(|first| self.packs.clear(*first));
        empty
    }
}
