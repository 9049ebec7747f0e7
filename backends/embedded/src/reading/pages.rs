//! Reading pages: what a peer is owed, and the dead letters. Each page is read from one snapshot.

use std::ops::ControlFlow;

use bytes::Bytes;
use slipstream_store::{
    DeadLetter, DeadLetterCount, DeadLetterCursor, DeadLetterFilter, DeadLetterReason, Page, PageLimit, PeerId,
    Pending, Result, Sequence, StoreError, Timestamp,
};

use crate::engine::Tables;
use crate::rows::bits::{Bits, block_of};
use crate::rows::codec::{self, DeadRow, NoteRow, OwedRow};
use crate::rows::table::{MessageRow, Table};
use crate::rows::{dead_counts, keys, packed, read};

/// The longest key of a dead letter is shorter than this.
const PAST_ANY_PEER: [u8; 129] = [0xFF; 129];

/// A page that is being filled.
struct Filling<T> {
    page: Page<T>,
    items: usize,
    /// How many bytes there is room for; none once an oversized item has come.
    bytes: Option<usize>,
}

impl<T> Filling<T> {
    fn new(limit: PageLimit) -> Self {
        Self {
            page: Page { items: Vec::new(), more: false },
            items: usize::try_from(limit.items.get()).unwrap_or(usize::MAX),
            bytes: Some(limit.bytes.get()),
        }
    }

    /// Takes the next item, whose text has this length; or notes that there is more, and breaks.
    fn take(&mut self, length: usize, item: impl FnOnce() -> Result<T>) -> Result<ControlFlow<()>> {
        let fits = self.page.items.len() < self.items && self.bytes.is_some_and(|bytes| length <= bytes);
        if !fits && !self.page.items.is_empty() {
            self.page.more = true;
            return Ok(ControlFlow::Break(()));
        }
        self.bytes = self.bytes.and_then(|bytes| bytes.checked_sub(length));
        self.page.items.push(item()?);
        Ok(ControlFlow::Continue(()))
    }
}

/// The number of a remembered peer.
pub(crate) fn peer_number(tables: &dyn Tables, peer: &PeerId) -> Result<Option<u64>> {
    let Some(value) = tables.get(Table::Peers, peer.as_str().as_bytes())? else { return Ok(None) };
    Ok(Some(codec::decode_peer(&value)?.0.number))
}

/// The first pending delivery of a peer.
pub(crate) fn oldest(tables: &dyn Tables, number: u64) -> Result<Option<Sequence>> {
    let mut oldest = None;
    tables.scan(Table::Owed, &keys::pair(number, 0), &keys::pair(number, u64::MAX), &mut |key, value| {
        let block = keys::last_number(key).ok_or_else(|| read::bad_key(Table::Owed))?;
        let row: OwedRow = codec::decode(value, "a block of pending deliveries")?;
        oldest = Bits::from_bytes(&row.bits).numbers(block).next().and_then(Sequence::new);
        Ok(ControlFlow::Break(()))
    })?;
    Ok(oldest)
}

pub(crate) fn pending(
    tables: &dyn Tables,
    peer: &PeerId,
    after: Option<Sequence>,
    limit: PageLimit,
) -> Result<Page<Pending>> {
    let mut filling = Filling::new(limit);
    let Some(number) = peer_number(tables, peer)? else { return Ok(filling.page) };
    let from = after.map_or(0, |after| after.get() + 1);
    let first = keys::pair(number, block_of(from));
    tables.scan(Table::Owed, &first, &keys::pair(number, u64::MAX), &mut |key, value| {
        let block = keys::last_number(key).ok_or_else(|| read::bad_key(Table::Owed))?;
        let row: OwedRow = codec::decode(value, "a block of pending deliveries")?;
        let mut bits = Bits::from_bytes(&row.bits);
        bits.keep_from(block, from);
        fill_from_block(tables, number, block, bits, &mut filling)
    })?;
    Ok(filling.page)
}

fn fill_from_block(
    tables: &dyn Tables,
    number: u64,
    block: u64,
    bits: Bits,
    filling: &mut Filling<Pending>,
) -> Result<ControlFlow<()>> {
    let mut notes: Vec<(u64, NoteRow)> = Vec::new();
    read::scan_block(tables, Table::Notes, number, block, &mut |sequence, value| {
        notes.push((sequence, codec::decode(value, "a note")?));
        Ok(())
    })?;
    let mut wanted = bits.numbers(block);
    let flow = packed::messages(tables, block, bits, &mut |row| {
        if wanted.next() != Some(row.sequence) {
            return Err(not_stored(block));
        }
        let note = notes.binary_search_by_key(&row.sequence, |(sequence, _)| *sequence);
        let note = note.map(|index| notes[index].1).unwrap_or_default();
        filling.take(row.text.len(), || pending_item(row, &note))
    })?;
    if flow.is_continue() && wanted.next().is_some() {
        return Err(not_stored(block));
    }
    Ok(flow)
}

fn not_stored(block: u64) -> StoreError {
    StoreError::Corrupted(format!("a message of block {block} is pending but not stored"))
}

fn pending_item(row: &MessageRow<'_>, note: &NoteRow) -> Result<Pending> {
    Ok(Pending {
        sequence: sequence(row.sequence)?,
        identity: read::identity(row)?,
        message_type: read::name(row.message_type)?,
        key: row.key.map(read::name).transpose()?,
        expires_at: read::times(row.expires_at),
        received_at: Timestamp::from_millis(row.received_at),
        attempts: note.attempts,
        last_attempt_at: read::times(note.last_attempt_at),
        redriven: note.origin.is_some(),
        text: Bytes::copy_from_slice(row.text),
    })
}

pub(crate) fn dead_letters(
    tables: &dyn Tables,
    filter: &DeadLetterFilter,
    after: Option<&DeadLetterCursor>,
    limit: PageLimit,
) -> Result<Page<DeadLetter>> {
    let mut filling = Filling::new(limit);
    let after = after.map(|after| keys::sequence_and_peer(after.sequence.get(), after.peer.as_str()));
    let after = after.unwrap_or_default();
    let last = [&keys::number(Sequence::LAST.get())[..], &PAST_ANY_PEER].concat();
    tables.scan(Table::Dead, &after, &last, &mut |key, value| {
        if key == after {
            return Ok(ControlFlow::Continue(()));
        }
        let (number, peer) = keys::split_sequence_and_peer(key).ok_or_else(|| read::bad_key(Table::Dead))?;
        let dead: DeadRow<'_> = codec::decode(value, "a dead letter")?;
        let (peer, identity) = (read::name(peer)?, read::identity(&dead.message)?);
        let reason = DeadLetterReason::from(dead.reason);
        if !filter.matches(&peer, &reason, &identity.id) {
            return Ok(ControlFlow::Continue(()));
        }
        filling.take(dead.message.text.len(), || {
            Ok(DeadLetter {
                sequence: sequence(number)?,
                peer,
                identity,
                message_type: read::name(dead.message.message_type)?,
                key: dead.message.key.map(read::name).transpose()?,
                reason,
                attempts: dead.attempts,
                dead_at: Timestamp::from_millis(dead.dead_at),
                text: Bytes::copy_from_slice(dead.message.text),
            })
        })
    })?;
    Ok(filling.page)
}

/// How many dead letters there are, by peer and class. An earlier version kept no counts; what it has written is counted.
pub(crate) fn dead_letter_counts(tables: &dyn Tables) -> Result<Vec<DeadLetterCount>> {
    let Some(meta) = read::meta(tables)? else { return Ok(Vec::new()) };
    let is_counted = codec::decode_meta(&meta)?.is_counted;
    let counts = if is_counted { dead_counts::read(tables)? } else { dead_counts::count(tables)? };
    Ok(counts.into())
}

/// The sequence of a row, checked.
pub(crate) fn sequence(number: u64) -> Result<Sequence> {
    Sequence::new(number)
        .ok_or_else(|| StoreError::Corrupted(format!("a row has the sequence {number}: expected 1 to 2^63 - 1")))
}
