//! The ledger's tables on rows.

use std::ops::ControlFlow;

use sled::IVec;
use slipstream_embedded::{MessageRow, Table, Tables, Visited};
use slipstream_store::{Result, StoreError};

use crate::layout;
use crate::rows::{Page, Rows, Tree};

/// The tables as these rows have them.
pub(crate) struct On<'r, R>(pub(crate) &'r R);

impl<R: Rows> On<'_, R> {
    /// The whole value of the row at `key`.
    fn value(&self, key: &[u8], row: &[u8]) -> Result<Vec<u8>> {
        let (head, pieces) = layout::parse(row)?;
        let mut value = head.to_vec();
        for number in 0..pieces {
            let piece = self.0.row(&layout::piece_key(key, number))?;
            value.extend_from_slice(&piece.ok_or_else(|| missing(number, pieces))?);
        }
        Ok(value)
    }

    /// Whether a row ends as rows do and has its pieces, or a piece its row.
    pub(crate) fn check(&self, key: &[u8], row: &[u8]) -> Result<()> {
        let Some((owner, number)) = layout::owner(key) else { return self.value(key, row).map(drop) };
        let pieces = self.0.row(owner)?.map_or(Ok(0), |row| layout::parse(&row).map(|(_, pieces)| pieces))?;
        if number < pieces {
            return Ok(());
        }
        Err(StoreError::Corrupted(format!("a piece, the {number}th, of a row that has {pieces}")))
    }

    /// Shows the rows from `first` to `last` as they are, until `visit` has enough.
    pub(crate) fn rows(&self, first: &[u8], last: &[u8], visit: &mut dyn FnMut(&IVec, &IVec) -> Visited) -> Result<()> {
        let mut from = first.to_vec();
        while from.as_slice() <= last {
            let Page { rows, end } = self.0.page(&from, last)?;
            for (key, row) in &rows {
                if visit(key, row)?.is_break() {
                    return Ok(());
                }
            }
            // The key that comes next in the order of keys.
            from = match end {
                Some(end) => [&end, [0].as_slice()].concat(),
                None => return Ok(()),
            };
        }
        Ok(())
    }

    /// Shows the values from `first` to `last`, until `visit` has enough.
    fn values(&self, first: &[u8], last: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> Visited) -> Result<()> {
        self.rows(first, last, &mut |key, row| match layout::parse(row)? {
            (value, 0) => visit(key, value),
            _ => visit(key, &self.value(key, row)?),
        })
    }
}

fn missing(number: u32, pieces: u32) -> StoreError {
    StoreError::Corrupted(format!("a row lacks piece {number} of {pieces}"))
}

impl On<'_, Tree> {
    /// Whether this is version 1; if so, shows the messages that have rows of their own, until `visit` has enough.
    pub(crate) fn unpacked(&self, visit: &mut dyn FnMut(&MessageRow<'_>) -> Visited) -> Result<bool> {
        let version = self.0.row(layout::FORMAT_KEY)?;
        if version.as_deref() != Some(layout::UNPACKED) {
            return Ok(false);
        }
        let (first, last) = layout::all_messages();
        self.values(&first, &last, &mut |_, value| visit(&MessageRow::decode(value)?))?;
        Ok(true)
    }
}

impl<R: Rows> Tables for On<'_, R> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let key = layout::key(table, key);
        self.0.row(&key)?.map(|row| self.value(&key, &row)).transpose()
    }

    fn scan(
        &self,
        table: Table,
        first: &[u8],
        last: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visited,
    ) -> Result<()> {
        let (first, last) = (layout::key(table, first), layout::key(table, last));
        self.values(&first, &last, &mut |key, value| visit(&key[1..], value))
    }
}

/// Every key of the tree.
pub(crate) fn all_keys() -> (&'static [u8], &'static [u8]) {
    // A key has at most 142 bytes.
    (&[], &[255; 256])
}

/// Whether a visit goes on.
pub(crate) const GO_ON: Visited = Ok(ControlFlow::Continue(()));
