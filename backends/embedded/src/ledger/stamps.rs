//! Which blocks of seen stamps are the oldest, without an index of their ages.

use std::collections::{BinaryHeap, VecDeque};
use std::ops::ControlFlow;

use slipstream_store::{Result, StoreError};

use crate::engine::Tables;
use crate::rows::codec::{self, SeenRow};
use crate::rows::keys;
use crate::rows::table::Table;

/// How many of the oldest blocks one look at the whole table finds.
const FOUND_AT_ONCE: usize = 4096;

/// The oldest blocks of stamps as far as they are known, and a time before which no other block was last seen.
#[derive(Debug, Default)]
pub(crate) struct StampAges {
    oldest: VecDeque<(u64, (u128, u64))>,
    floor: u64,
}

impl StampAges {
    /// A block was last seen at this time.
    pub(crate) fn touched(&mut self, latest: u64) {
        self.floor = self.floor.min(latest);
    }

    /// A block that may have been seen last before `horizon`; `None` if there is none. The block must be looked
    /// at: it may have been seen again.
    pub(crate) fn next_before(&mut self, horizon: u64, tables: &dyn Tables) -> Result<Option<(u128, u64)>> {
        if self.oldest.is_empty() && self.floor < horizon {
            self.look(tables)?;
        }
        let due = self.oldest.front().filter(|(latest, _)| *latest < horizon);
        Ok(due.map(|&(_, key)| key))
    }

    /// The block that [`next_before`](Self::next_before) returned was removed, or turned out to have been seen last
    /// at `still_at`.
    pub(crate) fn done(&mut self, still_at: Option<u64>) {
        self.oldest.pop_front();
        if let Some(latest) = still_at {
            self.touched(latest);
        }
    }

    fn look(&mut self, tables: &dyn Tables) -> Result<()> {
        let mut oldest = BinaryHeap::with_capacity(FOUND_AT_ONCE + 1);
        let mut floor = u64::MAX;
        tables.scan(Table::Seen, &[], &[0xFF; 24], &mut |key, value| {
            let row: SeenRow = codec::decode(value, "a block of stamps")?;
            let key = keys::split_epoch_block(key)
                .ok_or_else(|| StoreError::Corrupted("a block of stamps has a key of another kind".to_owned()))?;
            oldest.push((row.latest, key));
            if oldest.len() > FOUND_AT_ONCE
                && let Some((latest, _)) = oldest.pop()
            {
                floor = floor.min(latest);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        self.oldest = oldest.into_sorted_vec().into();
        self.floor = floor;
        Ok(())
    }
}
