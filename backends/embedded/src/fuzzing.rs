//! The codec of all rows, for the fuzz targets in `fuzz/`. No program uses it: only the feature `fuzzing` has it.

use bincode::{BorrowDecode, Encode};
use slipstream_store::Result;

use crate::rows::codec::{
    DeadCountsRow, DeadRow, Meta, NoteRow, OwedRow, RedrivenRow, SeenRow, decode, decode_block, decode_journal,
    decode_meta, decode_peer, encode, encode_block, encode_journal, encode_meta, encode_peer,
};
use crate::rows::index::RunRow;
use crate::rows::owned::OwnedMessage;
use crate::rows::pack;
use crate::rows::table::{MessageRow, Table};

/// Reads a row of this table, and writes it again.
///
/// # Errors
/// As a store that reads the row.
pub fn rewritten(table: Table, row: &[u8]) -> Result<Vec<u8>> {
    match table {
        Table::Owed => again::<OwedRow>(row),
        Table::Seen => again::<SeenRow>(row),
        Table::Notes => again::<NoteRow>(row),
        Table::Dead => again::<DeadRow<'_>>(row),
        Table::Redriven => again::<RedrivenRow>(row),
        Table::Blocks => decode_block(row).and_then(|(row, packs)| encode_block(&row, &packs)),
        Table::Packs => repacked(row),
        Table::Journal => decode_journal(row).and_then(|row| encode_journal(&row)),
        Table::Peers => decode_peer(row).and_then(|(peer, alias, paused)| encode_peer(peer, alias, paused)),
        Table::DeadCounts => again::<DeadCountsRow<'_>>(row),
        Table::Runs => RunRow::decode(row)?.encode(),
        Table::Meta => match decode_meta(row)? {
            Meta { row, index: Some(index), journal, .. } => encode_meta(row, index, journal),
            // As an earlier version.
            Meta { row: earlier, .. } => encode(&earlier),
        },
    }
}

/// Reads the row of a message in a store of version 1, and writes it again.
///
/// # Errors
/// As a store that reads the row.
pub fn rewritten_unpacked(row: &[u8]) -> Result<Vec<u8>> {
    again::<MessageRow<'_>>(row)
}

/// Reads a pack, whatever its key, and packs its messages again.
fn repacked(row: &[u8]) -> Result<Vec<u8>> {
    const FIRST: u64 = 1024;
    let mut messages = Vec::new();
    pack::each(FIRST, row, &mut |message| {
        messages.push(OwnedMessage::new(message, message.sequence));
        Ok(())
    })?;
    let mut packs = Vec::new();
    pack::pack(messages.iter().map(OwnedMessage::row), usize::MAX, |_, pack| {
        packs.extend(pack);
        Ok(())
    })?;
    Ok(packs)
}

fn again<'a, T: BorrowDecode<'a, ()> + Encode>(row: &'a [u8]) -> Result<Vec<u8>> {
    encode(&decode::<T>(row, "a row")?)
}
