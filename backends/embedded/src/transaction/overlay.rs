//! The ledger as a transaction sees it: what it has changed, and below that the ledger, and below that the tables.
//!
//! Whatever looks something up in a transaction does so here. Nothing below is changed; what is changed becomes a write
//! set (`write_set.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use hashbrown::HashMap;
use slipstream_store::{DeliveryState, PeerId, Result, Sequence, StoreError};

use crate::engine::Tables;
use crate::ledger::blocks::{MessageBlock, OwedBlock, SeenBlock};
use crate::ledger::counters::Counters;
use crate::ledger::peers::PeerState;
use crate::ledger::state::Ledger;
use crate::rows::bits::{Bits, block_of};
use crate::rows::codec::{self, NoteRow, OwedRow, SeenRow};
use crate::rows::dead_counts::Change;
use crate::rows::table::Table;
use crate::rows::{dead_counts, keys, read};

pub(crate) struct Overlay<'l> {
    pub(crate) ledger: &'l Ledger,
    pub(crate) tables: &'l dyn Tables,
    pub(crate) counters: Counters,
    pub(crate) relay: Option<PeerId>,
    /// Remembered or forgotten.
    pub(crate) peers: BTreeMap<PeerId, Option<PeerState>>,
    owed_index: HashMap<(u64, u64), usize>,
    pub(crate) owed: Vec<TouchedOwed>,
    pub(crate) seen: BTreeMap<(u128, u64), Option<SeenBlock>>,
    pub(crate) blocks: BTreeMap<u64, Option<MessageBlock>>,
    /// The blocks in which deliveries were settled.
    pub(crate) dirty: BTreeSet<u64>,
    /// Rows of notes, dead letters and their counts, redriven deliveries; packs that are removed or become shorter; and
    /// rows of the journal if a purge removes them.
    pub(crate) rows: BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>,
}

/// A block of one peer's pending deliveries that the transaction changes, or has looked at.
pub(crate) struct TouchedOwed {
    pub(crate) peer: PeerId,
    pub(crate) number: u64,
    pub(crate) block: u64,
    pub(crate) before: OwedBlock,
    pub(crate) now: OwedBlock,
    /// Deliveries that were settled alike, and that the journal has not been told of yet.
    pub(crate) settling: Option<(DeliveryState, u64, Bits)>,
}

impl<'l> Overlay<'l> {
    pub(crate) fn new(ledger: &'l Ledger, tables: &'l dyn Tables) -> Result<Self> {
        let counts = ledger.uncounted.as_ref().map(dead_counts::rows_of).transpose()?.unwrap_or_default();
        let counts = counts.into_iter().map(|(key, value)| ((Table::DeadCounts, key), Some(value)));
        Ok(Self {
            ledger,
            tables,
            counters: ledger.counters,
            relay: ledger.relay.clone(),
            peers: BTreeMap::new(),
            owed_index: HashMap::new(),
            owed: Vec::new(),
            seen: BTreeMap::new(),
            blocks: BTreeMap::new(),
            dirty: BTreeSet::new(),
            rows: counts.collect(),
        })
    }

    pub(crate) fn next_sequence(&mut self) -> Result<(u64, Sequence)> {
        let number = self.counters.next_sequence;
        let sequence = Sequence::new(number)
            .ok_or_else(|| StoreError::Corrupted(format!("the next sequence is {number}: expected 1 to 2^63 - 1")))?;
        self.counters.next_sequence += 1;
        Ok((number, sequence))
    }

    pub(crate) fn peer(&self, id: &PeerId) -> Option<&PeerState> {
        if !self.peers.is_empty()
            && let Some(here) = self.peers.get(id)
        {
            return here.as_ref();
        }
        self.ledger.peers.get(id)
    }

    pub(crate) fn peer_number(&self, id: &PeerId) -> Option<u64> {
        self.peer(id).map(|state| state.number)
    }

    /// A block of messages as it is now.
    pub(crate) fn block(&self, number: u64) -> MessageBlock {
        let here = self.blocks.get(&number).copied();
        here.unwrap_or_else(|| self.ledger.blocks.get(&number).copied()).unwrap_or_default()
    }

    /// Takes messages out of a block; their packs are as they were.
    pub(crate) fn remove_messages(&mut self, number: u64, gone: Bits) {
        let mut block = self.block(number);
        block.remove(gone);
        self.blocks.insert(number, Some(block));
    }

    /// Takes the packs out of a block of which nothing is left.
    pub(crate) fn remove_empty_packs(&mut self, number: u64) {
        let mut block = self.block(number);
        for pack in block.take_empty_packs(number) {
            self.rows.insert((Table::Packs, keys::number(pack)), None);
        }
        self.blocks.insert(number, Some(block));
    }

    /// Notes that a delivery of this block was settled at this time.
    pub(crate) fn changed_at(&mut self, number: u64, at: u64) {
        let mut block = self.block(number);
        block.latest_change = block.latest_change.max(at);
        self.blocks.insert(number, Some(block));
    }

    /// A block of a peer's pending deliveries, to look at and to change.
    pub(crate) fn owed(&mut self, peer: &PeerId, number: u64, block: u64) -> Result<&mut TouchedOwed> {
        let index = match self.owed_index.get(&(number, block)) {
            Some(&index) => index,
            None => {
                let before = match self.ledger.owed.get(&(number, block)) {
                    Some(before) => *before,
                    None => read_owed(self.tables, number, block)?,
                };
                let touched = TouchedOwed { peer: peer.clone(), number, block, before, now: before, settling: None };
                self.owed.push(touched);
                self.owed_index.insert((number, block), self.owed.len() - 1);
                self.owed.len() - 1
            }
        };
        Ok(&mut self.owed[index])
    }

    /// The blocks in which a peer may be owed anything.
    pub(crate) fn owed_blocks(&self, number: u64) -> Result<BTreeSet<u64>> {
        let here = self.owed.iter().filter(|touched| touched.number == number);
        let mut blocks: BTreeSet<u64> = here.map(|touched| touched.block).collect();
        self.tables.scan(Table::Owed, &keys::pair(number, 0), &keys::pair(number, u64::MAX), &mut |key, _| {
            blocks.insert(keys::last_number(key).ok_or_else(|| read::bad_key(Table::Owed))?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(blocks)
    }

    pub(crate) fn seen_block(&self, key: (u128, u64)) -> Result<SeenBlock> {
        if let Some(here) = self.seen.get(&key) {
            return Ok(here.unwrap_or_default());
        }
        if let Some(block) = self.ledger.seen.get(&key) {
            return Ok(*block);
        }
        let Some(value) = self.tables.get(Table::Seen, &keys::epoch_block(key))? else {
            return Ok(SeenBlock::default());
        };
        let row: SeenRow = codec::decode(&value, "a block of stamps")?;
        Ok(SeenBlock { bits: Bits::from_bytes(&row.bits), latest: row.latest })
    }

    /// A row as it is now.
    pub(crate) fn row(&self, table: Table, key: Vec<u8>) -> Result<Option<Vec<u8>>> {
        let row = (table, key);
        match self.rows.get(&row) {
            Some(here) => Ok(here.clone()),
            None => self.tables.get(table, &row.1),
        }
    }

    pub(crate) fn note(&self, number: u64, sequence: u64) -> Result<NoteRow> {
        let value = self.row(Table::Notes, keys::pair(number, sequence))?;
        value.map_or_else(|| Ok(NoteRow::default()), |value| codec::decode(&value, "a note"))
    }

    pub(crate) fn put_note(&mut self, peer: &PeerId, number: u64, sequence: u64, note: &NoteRow) -> Result<()> {
        let value = codec::encode(note)?;
        self.rows.insert((Table::Notes, keys::pair(number, sequence)), Some(value));
        self.owed(peer, number, block_of(sequence))?.now.noted.set(sequence);
        Ok(())
    }

    /// Counts a dead letter that comes or leaves.
    pub(crate) fn count_dead(&mut self, peer: &PeerId, change: Change, reason: &str, dead_at: u64) -> Result<()> {
        let key = peer.as_str().as_bytes().to_vec();
        let before = self.row(Table::DeadCounts, key.clone())?;
        let now = dead_counts::changed(before.as_deref(), change, reason, dead_at)?;
        self.rows.insert((Table::DeadCounts, key), now);
        match change {
            Change::Comes => self.counters.dead_letters += 1,
            Change::Leaves => self.counters.dead_letters -= 1,
        }
        Ok(())
    }

    /// Shows the rows of a table keyed by sequence and peer id that are this peer's. It goes over the whole table.
    pub(crate) fn each_of(&self, table: Table, peer: &PeerId, visit: &mut dyn FnMut(u64, &[u8])) -> Result<()> {
        let mut show = |key: &[u8], value: &[u8]| -> Result<()> {
            let (sequence, id) = keys::split_sequence_and_peer(key).ok_or_else(|| read::bad_key(table))?;
            if id == peer.as_str() {
                visit(sequence, value);
            }
            Ok(())
        };
        self.tables.scan(table, &[], &[0xFF; 137], &mut |key, value| {
            if !self.rows.contains_key(&(table, key.to_vec())) {
                show(key, value)?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let here = self.rows.range((table, Vec::new())..).take_while(|((at, _), _)| *at == table);
        for ((_, key), value) in here {
            if let Some(value) = value {
                show(key, value)?;
            }
        }
        Ok(())
    }
}

/// A block of a peer's pending deliveries as the tables have it.
fn read_owed(tables: &dyn Tables, number: u64, block: u64) -> Result<OwedBlock> {
    let Some(value) = tables.get(Table::Owed, &keys::pair(number, block))? else { return Ok(OwedBlock::default()) };
    let row: OwedRow = codec::decode(&value, "a block of pending deliveries")?;
    let mut noted = Bits::NONE;
    read::scan_block(tables, Table::Notes, number, block, &mut |sequence, _| {
        noted.set(sequence);
        Ok(())
    })?;
    Ok(OwedBlock { bits: Bits::from_bytes(&row.bits), noted })
}
