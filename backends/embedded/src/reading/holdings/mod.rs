//! What the tables hold, told message by message in the order of their sequences.
//!
//! The journal is in the order of commits, and a row tells of messages that others recorded. So a pass over it notes of
//! which sequences each row tells; then the messages are put together a window at a time (`window.rs`), from the rows that
//! tell of it. Memory stays small however much there is: some bytes a row, and a window.

mod draft;
mod once;
mod window;

use std::ops::ControlFlow;

use async_trait::async_trait;
use slipstream_store::{HeldMessage, HeldOnce, HeldStamps, Holdings, Result, Sequence, Stamp, Timestamp};
use ulid::Ulid;

use crate::engine::Tables;
use crate::rows::bits::{Bits, block_of};
use crate::rows::codec::{self, SeenRow};
use crate::rows::table::Table;
use crate::rows::{keys, read};
use once::Known;
use window::Window;

/// Blocks of stamps on a page.
const STAMP_BLOCKS: usize = 64;

/// What the tables of a store hold that nobody writes to. All of it blocks.
pub struct TableHoldings<'t> {
    tables: &'t dyn Tables,
    known: Option<Known>,
    window: Option<Window>,
}

impl<'t> TableHoldings<'t> {
    /// What these tables hold.
    #[must_use]
    pub fn new(tables: &'t dyn Tables) -> Self {
        Self { tables, known: None, window: None }
    }

    fn known(&mut self) -> Result<&Known> {
        match &mut self.known {
            Some(known) => Ok(known),
            none => Ok(none.insert(Known::read(self.tables)?)),
        }
    }

    /// A sequence from `first` on, at or before the first message that there may be.
    fn next_from(&mut self, first: u64) -> Result<Option<u64>> {
        let tables = self.tables;
        let told = self.known()?.next_told(first);
        let mut next = told.into_iter().min();
        let (from, last) = (keys::number(first), [0xFF; 137]);
        for table in [Table::Dead, Table::Redriven] {
            tables.scan(table, &from, &last, &mut |key, _| {
                let (sequence, _) = keys::split_sequence_and_peer(key).ok_or_else(|| read::bad_key(table))?;
                next = next.into_iter().chain([sequence]).min();
                Ok(ControlFlow::Break(()))
            })?;
        }
        let (block, end) = (keys::number(block_of(first)), keys::number(block_of(Sequence::LAST.get())));
        tables.scan(Table::Blocks, &block, &end, &mut |key, value| {
            let block = keys::first_number(key).ok_or_else(|| read::bad_key(Table::Blocks))?;
            let (row, _) = codec::decode_block(value)?;
            let mut stored = Bits::from_bytes(&row.stored);
            if block == block_of(first) {
                stored.keep_from(block, first);
            }
            let found = stored.numbers(block).next();
            next = next.into_iter().chain(found).min();
            Ok(if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(next)
    }
}

impl std::fmt::Debug for TableHoldings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableHoldings").finish_non_exhaustive()
    }
}

#[async_trait(?Send)]
impl Holdings for TableHoldings<'_> {
    async fn once(&mut self) -> Result<HeldOnce> {
        let tables = self.tables;
        once::read(tables, self.known()?)
    }

    async fn stamps(&mut self, after: Option<Stamp>) -> Result<Vec<HeldStamps>> {
        let first = after.map_or((0, 0), |after| (u128::from(after.epoch), block_of(after.number)));
        let mut page = Vec::new();
        self.tables.scan(Table::Seen, &keys::epoch_block(first), &[0xFF; 24], &mut |key, value| {
            let (epoch, block) = keys::split_epoch_block(key).ok_or_else(|| read::bad_key(Table::Seen))?;
            let row: SeenRow = codec::decode(value, "a block of stamps")?;
            let epoch = Ulid::from(epoch);
            let is_behind = |number: &u64| after.is_none_or(|after| (after.epoch, after.number) < (epoch, *number));
            let numbers: Vec<u64> = Bits::from_bytes(&row.bits).numbers(block).filter(is_behind).collect();
            if !numbers.is_empty() {
                page.push(HeldStamps { epoch, numbers, latest: Timestamp::from_millis(row.latest) });
            }
            Ok(if page.len() == STAMP_BLOCKS { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(page)
    }

    async fn messages(&mut self, after: Option<Sequence>) -> Result<Vec<HeldMessage>> {
        let mut first = after.map_or(1, |after| after.get().saturating_add(1));
        loop {
            if let Some(window) = self.window.as_ref().filter(|window| window.covers(first)) {
                let page = window.page(self.tables, first)?;
                if !page.is_empty() {
                    return Ok(page);
                }
                first = window.end();
            }
            let Some(next) = self.next_from(first)? else { return Ok(Vec::new()) };
            first = next;
            let tables = self.tables;
            self.window = Some(Window::read(tables, self.known()?, first)?);
        }
    }
}
