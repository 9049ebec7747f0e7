//! The stamps that were seen. They are kept much longer than messages, so they take a bit each.

use std::collections::{BTreeMap, BTreeSet};

use slipstream_store::{Stamp, Timestamp};
use ulid::Ulid;

/// How many neighbouring numbers of an epoch share a row.
const BLOCK: u64 = 1024;

/// The place of a row: an epoch, and a block of 1,024 numbers in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StampBlock {
    pub(crate) epoch: Ulid,
    pub(crate) block: u64,
}

/// The stamps that were seen.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamps {
    rows: BTreeMap<StampBlock, Seen>,
    by_age: BTreeSet<(Timestamp, StampBlock)>,
}

/// Which stamps of a block were seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The latest time at which a message came with one of them.
    pub(crate) latest: Timestamp,
    pub(crate) bits: [u64; 16],
}

impl Stamps {
    pub(super) fn has_seen(&self, stamp: Stamp) -> bool {
        let (block, word, bit) = place(stamp);
        self.rows.get(&block).is_some_and(|seen| seen.bits[word] & bit != 0)
    }

    /// Notes a stamp as seen.
    pub(super) fn see(&mut self, stamp: Stamp, at: Timestamp) {
        let (block, word, bit) = place(stamp);
        let mut seen = self.remove(block).unwrap_or(Seen { latest: at, bits: [0; 16] });
        seen.bits[word] |= bit;
        seen.latest = seen.latest.max(at);
        self.insert(block, seen);
    }

    pub(crate) fn insert(&mut self, block: StampBlock, seen: Seen) {
        self.by_age.insert((seen.latest, block));
        self.rows.insert(block, seen);
    }

    pub(super) fn remove(&mut self, block: StampBlock) -> Option<Seen> {
        let seen = self.rows.remove(&block)?;
        self.by_age.remove(&(seen.latest, block));
        Some(seen)
    }

    /// The block that was seen last the longest ago, and when.
    pub(super) fn oldest(&self) -> Option<(Timestamp, StampBlock)> {
        self.by_age.first().copied()
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = (&StampBlock, &Seen)> {
        self.rows.iter()
    }
}

/// The row of a stamp, the word in it, and the bit in the word.
fn place(stamp: Stamp) -> (StampBlock, usize, u64) {
    let block = StampBlock { epoch: stamp.epoch, block: stamp.number / BLOCK };
    (block, (stamp.number % BLOCK / 64) as usize, 1 << (stamp.number % 64))
}
