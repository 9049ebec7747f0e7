//! How the ledger's tables lie in one tree: a byte for the table before each key, and long values in pieces.
//!
//! One tree, because sled applies a batch to a tree in one, and to several trees one after the other. Pieces, because
//! sled writes a page that outgrows a quarter of a segment to a file of its own, which it never syncs.

use sled::IVec;
use slipstream_embedded::Table;
use slipstream_store::{Result, StoreError};

/// Most bytes of a value that stand in one row. A page has at most 20 rows, with keys of at most 142 bytes: so it
/// stays below the quarter of a segment, 256 KiB, that sled keeps in its log.
pub(crate) const PIECE: usize = 8 << 10;

/// The key of the row that says which layout this is.
pub(crate) const FORMAT_KEY: &[u8] = &[0];

/// What stands there.
pub(crate) const FORMAT: &[u8] = &[2];

/// What stands there in version 1, which has messages in rows of their own.
pub(crate) const UNPACKED: &[u8] = &[1];

const MESSAGES: u8 = 1;
const PIECES: u8 = 255;

/// The last byte of a value: it is whole, or it goes on in pieces, whose number is in the four bytes before.
const WHOLE: u8 = 0;
const GOES_ON: u8 = 1;

/// The byte of a table. They are on people's disks and never change.
const fn byte(table: Table) -> u8 {
    match table {
        Table::Owed => 2,
        Table::Seen => 3,
        Table::Notes => 4,
        Table::Dead => 5,
        Table::Redriven => 6,
        Table::Blocks => 7,
        Table::Journal => 8,
        Table::Peers => 9,
        Table::Meta => 10,
        Table::DeadCounts => 11,
        Table::Runs => 12,
        Table::Packs => 13,
    }
}

/// Where a row of a table is.
pub(crate) fn key(table: Table, key: &[u8]) -> Vec<u8> {
    [&[byte(table)], key].concat()
}

/// From where to where the messages of version 1 are.
pub(crate) fn all_messages() -> (Vec<u8>, Vec<u8>) {
    (message_key(0), message_key(u64::MAX))
}

/// Where a message of version 1 is.
pub(crate) fn message_key(sequence: u64) -> Vec<u8> {
    [&[MESSAGES], sequence.to_be_bytes().as_slice()].concat()
}

/// Where the `number`th piece of the row at `key` is. No two rows share one, since the number has a fixed length.
pub(crate) fn piece_key(key: &[u8], number: u32) -> Vec<u8> {
    [&[PIECES], key, number.to_be_bytes().as_slice()].concat()
}

/// The row that a piece belongs to, and the piece's number; nothing if it is a row itself.
pub(crate) fn owner(key: &[u8]) -> Option<(&[u8], u32)> {
    let (owner, number) = key.strip_prefix(&[PIECES])?.split_last_chunk()?;
    Some((owner, u32::from_be_bytes(*number)))
}

/// A value as the row that stands under its own key, and the pieces that follow.
pub(crate) fn split(mut value: Vec<u8>) -> (IVec, Vec<IVec>) {
    if value.len() <= PIECE {
        value.push(WHOLE);
        return (value.into(), Vec::new());
    }
    let pieces: Vec<IVec> = value[PIECE..].chunks(PIECE).map(IVec::from).collect();
    value.truncate(PIECE);
    // A value that has more pieces does not fit into memory.
    value.extend(u32::try_from(pieces.len()).unwrap_or(u32::MAX).to_be_bytes());
    value.push(GOES_ON);
    (value.into(), pieces)
}

/// What [`split`] put into a row: the value or its beginning, and the number of pieces that follow.
pub(crate) fn parse(row: &[u8]) -> Result<(&[u8], u32)> {
    match row.split_last() {
        Some((&WHOLE, value)) => Ok((value, 0)),
        Some((&GOES_ON, rest)) => {
            let (value, pieces) = rest.split_last_chunk().ok_or_else(unreadable)?;
            Ok((value, u32::from_be_bytes(*pieces)))
        }
        _ => Err(unreadable()),
    }
}

fn unreadable() -> StoreError {
    StoreError::Corrupted("a row does not end as rows do".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_any_length_are_put_together_again() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 1, 1 << 20] {
            let value: Vec<u8> = (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let (row, pieces) = split(value.clone());
            let (head, count) = parse(&row).unwrap();
            assert_eq!((count as usize, pieces.len()), (length.saturating_sub(1) / PIECE, count as usize), "{length}");
            assert_eq!([head, &pieces.iter().flat_map(|piece| piece.to_vec()).collect::<Vec<_>>()].concat(), value);
        }
        for bad in [&[][..], &[7], &[0, 0, 0, GOES_ON]] {
            assert!(matches!(parse(bad), Err(StoreError::Corrupted(_))), "{bad:?}");
        }
    }

    #[test]
    fn a_piece_names_its_row() {
        let row = key(Table::Peers, b"shop");
        assert_eq!(row, b"\x09shop");
        assert_eq!(owner(&piece_key(&row, 7)), Some((row.as_slice(), 7)));
        assert_eq!(owner(&row), None);
    }
}
