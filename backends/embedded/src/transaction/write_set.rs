//! What a transaction comes to: the writes for the engine and the changes for the ledger.

use slipstream_store::Result;

use crate::engine::Write;
use crate::ledger::changes::{Changes, Indexed, OwedChange};
use crate::ledger::counters::{Counters, OldestRow};
use crate::ledger::peers;
use crate::rows::bits::block_of;
use crate::rows::codec::{self, OwedRow, SeenRow};
use crate::rows::journal::JournalRow;
use crate::rows::owned::OwnedMessage;
use crate::rows::table::Table;
use crate::rows::{index, keys, pack};
use crate::transaction::apply::Transaction;
use crate::transaction::deliveries::Deliveries;
use crate::transaction::journal_entry;
use crate::transaction::overlay::Overlay;
use crate::transaction::recording::Recording;

/// A row that is written, or removed if it has no value: its table, its key and its value.
type RowWrite = (Table, Vec<u8>, Option<Vec<u8>>);

/// The writes of a transaction, and what they change in the ledger once the engine has them.
pub(crate) struct WriteSet {
    rows: Vec<RowWrite>,
    pub(crate) changes: Changes,
}

impl WriteSet {
    /// The write set of a transaction. `carried` are rows of the journal that are written again, as of `carried_at`.
    pub(crate) fn of(
        mut transaction: Transaction<'_, '_>,
        carried: &[JournalRow<'_>],
        carried_at: u64,
    ) -> Result<Self> {
        transaction.end()?;
        let mut rows = Vec::with_capacity(transaction.state.owed.len() + transaction.state.rows.len() + 8);
        let indexed = journal(&mut transaction, carried, carried_at, &mut rows)?;
        let Transaction { mut state, mut recording, deliveries, .. } = transaction;
        let Transaction { clean, forgotten_identities, oldest_row, .. } = transaction;
        let packs = packs(&recording, &deliveries, &mut state)?;
        add_rows(&mut state, &mut rows)?;
        // Behind those that are removed, so that they can have their room.
        rows.extend(packs);
        let owed = state.owed.into_iter().map(|touched| OwedChange {
            before: touched.before.bits.count(),
            peer: touched.peer,
            number: touched.number,
            block: touched.block,
            now: touched.now,
        });
        let changes = Changes {
            counters: state.counters,
            is_written: !rows.is_empty(),
            relay: state.relay,
            peers: state.peers.into_iter().collect(),
            identities: std::mem::take(&mut recording.new_identities),
            forgotten_identities,
            owed: owed.collect(),
            seen: state.seen.into_iter().collect(),
            blocks: state.blocks.into_iter().collect(),
            dirty: state.dirty,
            clean,
            oldest_row,
            indexed,
        };
        Ok(Self { rows, changes })
    }

    /// The writes, in order. None if nothing changes.
    pub(crate) fn writes(&self) -> Vec<Write<'_>> {
        let rows = self.rows.iter().map(|(table, key, value)| match value {
            Some(value) => Write::Put { table: *table, key, value },
            None => Write::Remove { table: *table, key },
        });
        rows.collect()
    }
}

/// The packs of the messages that the transaction adds, which their blocks have from now on.
fn packs(recording: &Recording<'_>, deliveries: &Deliveries, state: &mut Overlay<'_>) -> Result<Vec<RowWrite>> {
    let Recording { messages, routes, .. } = recording;
    let owed = messages.iter().filter(|message| !routes[message.route].recipients.is_empty());
    let mut owed = owed.map(|message| message.row(routes)).peekable();
    let mut appended = deliveries.appended.iter().map(OwnedMessage::row).peekable();
    let mut packs = Vec::new();
    let messages = std::iter::from_fn(|| match (owed.peek(), appended.peek()) {
        (Some(message), Some(redriven)) if redriven.sequence < message.sequence => appended.next(),
        (None, _) => appended.next(),
        _ => owed.next(),
    });
    pack::pack(messages, state.ledger.pack_bytes, |first, value| {
        let mut block = state.block(block_of(first));
        block.packs.set(first);
        state.blocks.insert(block_of(first), Some(block));
        packs.push((Table::Packs, keys::number(first), Some(value)));
        Ok(())
    })?;
    Ok(packs)
}

/// Adds the rows of what the transaction changed.
fn add_rows(state: &mut Overlay<'_>, rows: &mut Vec<RowWrite>) -> Result<()> {
    for ((table, key), value) in std::mem::take(&mut state.rows) {
        rows.push((table, key, value));
    }
    for touched in state.owed.iter().filter(|touched| touched.now.bits != touched.before.bits) {
        let bits = touched.now.bits;
        let value = if bits.is_empty() { None } else { Some(codec::encode(&OwedRow { bits: bits.to_bytes() })?) };
        rows.push((Table::Owed, keys::pair(touched.number, touched.block), value));
    }
    for (&key, block) in &state.seen {
        let row = block.map(|block| SeenRow { bits: block.bits.to_bytes(), latest: block.latest });
        rows.push((Table::Seen, keys::epoch_block(key), row.map(|row| codec::encode(&row)).transpose()?));
    }
    for (&number, block) in &state.blocks {
        let value = block.map(|block| block.encode()).transpose()?;
        rows.push((Table::Blocks, keys::number(number), value));
    }
    for (id, peer) in &state.peers {
        let value = peer.as_ref().map(peers::encode).transpose()?;
        rows.push((Table::Peers, id.as_str().as_bytes().to_vec(), value));
    }
    if !rows.is_empty() || state.counters != state.ledger.counters || state.relay != state.ledger.relay {
        let Counters { index, journal, .. } = state.counters;
        let meta = codec::encode_meta(state.counters.row(state.relay.as_ref()), index, journal)?;
        rows.push((Table::Blocks, keys::META.to_vec(), Some(meta)));
    }
    Ok(())
}

/// Adds the row of the journal, if there is anything to put in, and a part of the index with it; it is counted.
fn journal(
    transaction: &mut Transaction<'_, '_>,
    carried: &[JournalRow<'_>],
    carried_at: u64,
    rows: &mut Vec<RowWrite>,
) -> Result<Option<Indexed>> {
    let (recording, deliveries) = (&transaction.recording, &transaction.deliveries);
    let row = journal_entry::row(recording, deliveries, &transaction.imports, carried, carried_at)?;
    if row.is_empty() {
        return Ok(None);
    }
    let value = codec::encode_journal(&row)?;
    let counters: &mut Counters = &mut transaction.state.counters;
    let commit = counters.next_commit;
    let oldest = OldestRow { commit, latest: row.latest, last_recorded: row.last_recorded() };
    transaction.oldest_row.get_or_insert(oldest);
    counters.next_commit += 1;
    counters.journal = counters.journal.max(row.format());
    counters.journal_bytes += value.len() as u64;
    let hashes = index::hashes(&row, counters.next_sequence)?;
    rows.push((Table::Journal, keys::number(commit), Some(value)));
    let written = run_rows(transaction, rows);
    Ok(Some(Indexed { commit, hashes, written }))
}

/// Adds the next rows of the run that is being written; returns how much of it is written with them.
fn run_rows(transaction: &mut Transaction<'_, '_>, rows: &mut Vec<RowWrite>) -> Option<usize> {
    let Overlay { ledger, counters, .. } = &mut transaction.state;
    let next = ledger.tail().next_rows(counters.index.next_run)?;
    if next.begin {
        // Others than those that follow.
        rows.extend(ledger.unfinished_run.iter().map(|key| (Table::Runs, key.clone(), None)));
    }
    rows.extend(next.rows.into_iter().map(|(key, value)| (Table::Runs, key, Some(value))));
    if let Some(last) = next.ends {
        counters.index.to = last + 1;
        counters.index.next_run += 1;
    }
    Some(next.written)
}
