//! Reading the messages out of their packs: which packs of a block have them, and in one go those that lie side by side.

use std::ops::ControlFlow;

use slipstream_store::Result;

use crate::engine::{Tables, Visited};
use crate::rows::bits::{BLOCK, Bits, block_of};
use crate::rows::table::{MessageRow, Table};
use crate::rows::{codec, keys, pack, read};

/// The packs of a block that begin at these sequences and may have some of these messages: where each begins, and which
/// sequences it covers.
pub(crate) fn packs_with(block: u64, packs: Bits, messages: Bits) -> impl Iterator<Item = (u64, Bits)> {
    let mut left = messages;
    std::iter::from_fn(move || {
        loop {
            let first = left.numbers(block).next()?;
            let end = packs.above(block, first);
            let covered = |from: u64| {
                let mut covered = !Bits::NONE;
                covered.keep_from(block, from);
                covered.keep_below(block, end.unwrap_or((block + 1) * BLOCK));
                covered
            };
            left = left & !covered(first);
            // Before the first pack there is no message.
            if let Some(begins) = packs.at_or_below(block, first) {
                return Some((begins, covered(begins)));
            }
        }
    })
}

/// Shows those messages of a block that are stored and among `wanted`, in ascending order, until `visit` has enough.
///
/// # Errors
/// As the tables say, and what `visit` returns.
pub(crate) fn messages(
    tables: &dyn Tables,
    block: u64,
    wanted: Bits,
    visit: &mut dyn FnMut(&MessageRow<'_>) -> Visited,
) -> Visited {
    let Some(row) = tables.get(Table::Blocks, &keys::number(block))? else { return Ok(ControlFlow::Continue(())) };
    let (row, packs) = codec::decode_block(&row)?;
    let wanted = wanted & Bits::from_bytes(&row.stored);
    let packs = Bits::from_bytes(&packs);
    let mut wanted_packs = packs_with(block, packs, wanted).map(|(first, _)| first).peekable();
    while let Some(first) = wanted_packs.next() {
        let mut last = first;
        while let Some(next) = wanted_packs.next_if(|next| packs.above(block, last) == Some(*next)) {
            last = next;
        }
        let mut flow = ControlFlow::Continue(());
        tables.scan(Table::Packs, &keys::number(first), &keys::number(last), &mut |key, value| {
            let key = keys::first_number(key).ok_or_else(|| read::bad_key(Table::Packs))?;
            flow = pack::unpack(key, value, &mut |message| {
                if wanted.has(message.sequence) { visit(message) } else { Ok(ControlFlow::Continue(())) }
            })?;
            Ok(flow)
        })?;
        if flow.is_break() {
            return Ok(flow);
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// The stored message under this sequence, passed to `found` if it is there.
///
/// # Errors
/// As the tables say, and what `found` returns.
pub(crate) fn message<T>(
    tables: &dyn Tables,
    sequence: u64,
    found: impl FnOnce(&MessageRow<'_>) -> Result<T>,
) -> Result<Option<T>> {
    let (mut found, mut answer) = (Some(found), None);
    let mut wanted = Bits::NONE;
    wanted.set(sequence);
    let visited = messages(tables, block_of(sequence), wanted, &mut |row| {
        if let Some(found) = found.take() {
            answer = Some(found(row)?);
        }
        Ok(ControlFlow::Break(()))
    });
    visited.map(|_| answer)
}
