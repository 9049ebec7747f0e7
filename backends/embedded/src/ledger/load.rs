//! Opening: the ledger as the tables have it. It only reads, so that a damaged store stays as it is.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use hashbrown::{HashMap, HashSet};
use slipstream_store::{PeerId, Result, Sequence, StoreError};

use crate::engine::Tables;
use crate::ledger::blocks::MessageBlock;
use crate::ledger::counters::{Counters, OldestRow};
use crate::ledger::identities::{IdentityHash, NewIdentity, Print};
use crate::ledger::peers;
use crate::ledger::state::Ledger;
use crate::ledger::tail::Tail;
use crate::rows::bits::{Bits, block_of};
use crate::rows::codec::{self, Meta, OwedRow};
use crate::rows::journal::JournalRow;
use crate::rows::table::Table;
use crate::rows::{dead_counts, index, keys, read};

/// A bound above every key of a table.
const LAST_KEY: [u8; 137] = [0xFF; 137];

/// Reads the ledger of a store; of a new one it is empty.
///
/// Numbers that were given must lie below those that are given next: otherwise the next commits would write over rows
/// that are there.
pub(crate) fn load(tables: &dyn Tables) -> Result<Ledger> {
    let mut ledger = Ledger::default();
    let Some(value) = read::meta(tables)? else { return new(tables).map(|()| ledger) };
    let Meta { row: meta, is_counted, index, journal } = codec::decode_meta(&value)?;
    ledger.counters = Counters::from_row(&meta, index, journal)?;
    ledger.relay = meta.relay.map(read::name).transpose()?;
    load_peers(tables, &mut ledger)?;
    load_blocks(tables, &mut ledger)?;
    load_owed(tables, &mut ledger)?;
    load_journal(tables, &mut ledger)?;
    if !is_counted {
        ledger.uncounted = Some(dead_counts::count(tables)?);
    }
    Ok(ledger)
}

/// That there is nothing in a store without counters, which the first commit writes.
fn new(tables: &dyn Tables) -> Result<()> {
    let lost = |table: &str| {
        let rows = format!("there are rows in the table {table}, but the ledger's counters are missing");
        Err(StoreError::Corrupted(rows))
    };
    for table in Table::ALL {
        tables.scan(table, &[], &LAST_KEY, &mut |_, _| lost(table.name()))?;
    }
    Ok(())
}

fn load_peers(tables: &dyn Tables, ledger: &mut Ledger) -> Result<()> {
    let mut numbers = HashSet::new();
    tables.scan(Table::Peers, &[], &[0xFF], &mut |key, value| {
        let id = std::str::from_utf8(key).map_err(|_| read::bad_key(Table::Peers))?;
        let id: PeerId = read::name(id)?;
        let state = peers::decode(id.clone(), value)?;
        if state.number >= ledger.counters.next_peer || !numbers.insert(state.number) {
            let number = state.number;
            return Err(StoreError::Corrupted(format!("peer {id} has the number {number}, which is not its own")));
        }
        ledger.peers.insert(id, state);
        Ok(ControlFlow::Continue(()))
    })
}

fn load_blocks(tables: &dyn Tables, ledger: &mut Ledger) -> Result<()> {
    tables.scan(Table::Blocks, &keys::number(0), &keys::number(Sequence::LAST.get()), &mut |key, value| {
        if key == keys::META {
            return Ok(ControlFlow::Continue(()));
        }
        let number = keys::first_number(key).filter(|number| *number <= block_of(Sequence::LAST.get()));
        let number = number.ok_or_else(|| read::bad_key(Table::Blocks))?;
        ledger.replace_block(number, Some(MessageBlock::decode(value)?));
        Ok(ControlFlow::Continue(()))
    })?;
    let last = ledger.blocks.last_key_value().and_then(|(number, block)| block.stored.numbers(*number).last());
    match last.filter(|last| *last >= ledger.counters.next_sequence) {
        Some(last) => Err(StoreError::Corrupted(format!("message {last} is stored, which is yet to be recorded"))),
        None => Ok(()),
    }
}

/// Counts what every peer is owed, and finds the blocks in which there are messages that nobody is owed.
fn load_owed(tables: &dyn Tables, ledger: &mut Ledger) -> Result<()> {
    let mut backlogs: HashMap<u64, u64> = HashMap::new();
    let mut pending: BTreeMap<u64, Bits> = BTreeMap::new();
    tables.scan(Table::Owed, &[], &[0xFF; 16], &mut |key, value| {
        let (Some(peer), Some(block)) = (keys::first_number(key), keys::last_number(key)) else {
            return Err(read::bad_key(Table::Owed));
        };
        let row: OwedRow = codec::decode(value, "a block of pending deliveries")?;
        let bits = Bits::from_bytes(&row.bits);
        *backlogs.entry(peer).or_default() += bits.count();
        *pending.entry(block).or_default() |= bits;
        ledger.count_owing(block, false, !bits.is_empty());
        Ok(ControlFlow::Continue(()))
    })?;
    for state in ledger.peers.values_mut() {
        state.backlog = backlogs.remove(&state.number).unwrap_or(0);
        ledger.pending += state.backlog;
    }
    if let Some(peer) = backlogs.keys().min() {
        return Err(StoreError::Corrupted(format!("peer number {peer} is owed messages but not remembered")));
    }
    for (&number, block) in &ledger.blocks {
        let pending = pending.remove(&number).unwrap_or_default();
        if !(pending & !block.stored).is_empty() {
            return Err(StoreError::Corrupted(format!("block {number} has pending messages that are not stored")));
        }
        let is_sparse = block.sparse_packs(number, ledger.counters.next_sequence).next().is_some();
        if is_sparse || !(block.stored & !pending).is_empty() {
            ledger.dirty.insert(number);
        }
    }
    match pending.keys().next() {
        Some(block) => Err(StoreError::Corrupted(format!("block {block} has pending messages but is not there"))),
        None => Ok(()),
    }
}

/// Reads the remembered identities, the end of the journal's index, and what is known of the first row.
fn load_journal(tables: &dyn Tables, ledger: &mut Ledger) -> Result<()> {
    let last = keys::number(Sequence::LAST.get());
    let mut oldest = None;
    tables.scan(Table::Journal, &keys::number(0), &last, &mut |key, value| {
        let row: JournalRow<'_> = codec::decode_journal(value)?;
        let commit = keys::first_number(key).ok_or_else(|| read::bad_key(Table::Journal))?;
        oldest = Some(OldestRow { commit, latest: row.latest, last_recorded: row.last_recorded() });
        Ok(ControlFlow::Break(()))
    })?;
    ledger.oldest_row = oldest;
    let Counters { identities_commit, next_sequence, index: indexed, .. } = ledger.counters;
    let mut tail = Tail::new(indexed.to);
    let first = keys::number(identities_commit.min(indexed.to));
    tables.scan(Table::Journal, &first, &last, &mut |key, value| {
        let row: JournalRow<'_> = codec::decode_journal(value)?;
        let commit = keys::first_number(key).ok_or_else(|| read::bad_key(Table::Journal))?;
        if commit >= ledger.counters.next_commit {
            return Err(StoreError::Corrupted(format!("commit {commit} has a journal row and is yet to be made")));
        }
        if commit >= indexed.to {
            tail.push(commit, &index::hashes(&row, next_sequence)?);
        }
        if commit < identities_commit {
            return Ok(ControlFlow::Continue(()));
        }
        let from = ledger.counters.identities_from;
        let mut first = None;
        for recorded in row.recorded.iter().filter(|recorded| recorded.sequence >= from) {
            first.get_or_insert(recorded.sequence);
            ledger.identities.push(NewIdentity {
                hash: IdentityHash::of_parts(row.name(recorded.group)?, recorded.id),
                sequence: recorded.sequence,
                print: Print::of(recorded.fingerprint),
                received_at: recorded.received_at,
            });
        }
        if let Some(first) = first {
            ledger.mark(commit, first);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    ledger.tail = Arc::new(Mutex::new(tail));
    tables.scan(Table::Runs, &index::key(indexed.next_run, 0), &last, &mut |key, _| {
        ledger.unfinished_run.push(key.to_vec());
        Ok(ControlFlow::Continue(()))
    })
}
