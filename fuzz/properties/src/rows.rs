//! The rows of a store, one by one.

use slipstream_embedded::{Table, fuzzing};
use slipstream_store::{Result, StoreError};

use crate::told::assert_short;

/// Longest text that says what is wrong with a row.
const MOST_TOLD: usize = 256;

/// Reads a row: the first byte says of which table, the rest is the row.
///
/// - A row that is taken is written as a row that is read and written as the same. It does not grow.
/// - A row that is refused is damaged or of a later format, and that is told in a short line.
pub fn rows(input: &[u8]) {
    let Some((&table, row)) = input.split_first() else { return };
    let table = Table::ALL.get(usize::from(table) % (Table::ALL.len() + 1)).copied();
    match rewritten(table, row) {
        Ok(again) => {
            assert!(again.len() <= row.len(), "a row of {} bytes became one of {}", row.len(), again.len());
            assert_eq!(rewritten(table, &again).as_ref(), Ok(&again));
        }
        Err(StoreError::Corrupted(told) | StoreError::Unsupported(told)) => assert_short(&told, MOST_TOLD),
        Err(other) => assert_eq!(Err(other), Ok(()), "no such error is to be had from a row"),
    }
}

fn rewritten(table: Option<Table>, row: &[u8]) -> Result<Vec<u8>> {
    match table {
        Some(table) => fuzzing::rewritten(table, row),
        None => fuzzing::rewritten_unpacked(row),
    }
}
