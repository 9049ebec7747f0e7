//! How a peer takes the place of its alias.
//!
//! What is kept by peer number (pending deliveries and their notes) moves to the peer's number block by block; what
//! is kept by peer id (dead letters, and where a delivery was redriven to) moves to its id. The journal stays as it
//! is: traces find open deliveries where they are now.

use std::collections::{BTreeMap, BTreeSet};

use slipstream_store::{DeliveryState, PeerId, Result};

use crate::rows::bits::{Bits, block_of};
use crate::rows::codec::{self, DeadRow};
use crate::rows::dead_counts::Change;
use crate::rows::keys;
use crate::rows::table::Table;
use crate::transaction::deliveries::{Deliveries, Settlement};
use crate::transaction::overlay::Overlay;

/// Who takes whose place.
pub(crate) struct Adoption<'t, 'l> {
    state: &'t mut Overlay<'l>,
    deliveries: &'t mut Deliveries,
    alias: &'t PeerId,
    alias_number: u64,
    peer: &'t PeerId,
    number: u64,
    /// The messages of which the peer has a dead letter or a redriven delivery of its own.
    held: BTreeSet<u64>,
}

impl<'t, 'l> Adoption<'t, 'l> {
    /// The adoption of an alias by its peer; `None` if either is not remembered, or if they are one.
    pub(crate) fn of(
        state: &'t mut Overlay<'l>,
        deliveries: &'t mut Deliveries,
        alias: &'t PeerId,
        peer: &'t PeerId,
    ) -> Result<Option<Self>> {
        let numbers = state.peer_number(alias).zip(state.peer_number(peer)).filter(|(alias, peer)| alias != peer);
        let Some((alias_number, number)) = numbers else { return Ok(None) };
        let mut held = BTreeSet::new();
        for table in [Table::Dead, Table::Redriven] {
            state.each_of(table, peer, &mut |sequence, _| {
                held.insert(sequence);
            })?;
        }
        Ok(Some(Self { state, deliveries, alias, alias_number, peer, number, held }))
    }

    /// Gives what the alias is owed, and its dead letters, to the peer.
    pub(crate) fn run(mut self) -> Result<()> {
        for block in self.state.owed_blocks(self.alias_number)? {
            self.move_block(block)?;
        }
        let mut dead = BTreeMap::new();
        self.state.each_of(Table::Dead, self.alias, &mut |sequence, value| {
            dead.insert(sequence, value.to_vec());
        })?;
        dead.into_iter().try_for_each(|(sequence, value)| self.move_dead_letter(sequence, value))
    }

    /// Moves the pending deliveries of a block.
    fn move_block(&mut self, block: u64) -> Result<()> {
        let touched = self.state.owed(self.alias, self.alias_number, block)?;
        let before = std::mem::take(&mut touched.now);
        let mut moved = Bits::NONE;
        for sequence in before.bits.numbers(block) {
            if self.move_delivery(sequence, before.noted.has(sequence))? {
                moved.set(sequence);
            }
        }
        if moved != before.bits {
            self.state.dirty.insert(block);
        }
        let touched = self.state.owed(self.peer, self.number, block)?;
        touched.now.bits |= moved;
        touched.now.noted |= moved & before.noted;
        Ok(())
    }

    /// Moves what is noted of a pending delivery; whether the delivery moves, and does not go.
    fn move_delivery(&mut self, sequence: u64, noted: bool) -> Result<bool> {
        if !noted {
            return Ok(!self.has_open(sequence)?);
        }
        let note = self.state.note(self.alias_number, sequence)?;
        let moves = !self.has_open(note.origin.unwrap_or(sequence))?;
        self.state.rows.insert((Table::Notes, keys::pair(self.alias_number, sequence)), None);
        if moves {
            let key = keys::pair(self.number, sequence);
            self.state.rows.insert((Table::Notes, key), Some(codec::encode(&note)?));
        }
        self.move_redriven(note.origin, moves)?;
        Ok(moves)
    }

    fn move_dead_letter(&mut self, sequence: u64, value: Vec<u8>) -> Result<()> {
        let dead: DeadRow<'_> = codec::decode(&value, "a dead letter")?;
        let (origin, at) = (dead.origin, dead.dead_at);
        self.state.count_dead(self.alias, Change::Leaves, dead.reason, at)?;
        let moves = !self.has_open(origin.unwrap_or(sequence))?;
        self.move_redriven(origin, moves)?;
        self.state.rows.insert((Table::Dead, keys::sequence_and_peer(sequence, self.alias.as_str())), None);
        if !moves {
            return Ok(());
        }
        self.state.count_dead(self.peer, Change::Comes, dead.reason, at)?;
        self.state.rows.insert((Table::Dead, keys::sequence_and_peer(sequence, self.peer.as_str())), Some(value));
        // So that the trace knows of it also once the dead letter was discarded.
        let (peer, state, block) = (self.peer.clone(), DeliveryState::Dead, block_of(sequence));
        let mut bits = Bits::NONE;
        bits.set(sequence);
        self.deliveries.settled.push(Settlement { peer, state, at, origin, block, bits });
        Ok(())
    }

    /// Moves the row that says under which sequence a delivery was redriven, or removes it.
    fn move_redriven(&mut self, origin: Option<u64>, moves: bool) -> Result<()> {
        let Some(origin) = origin else { return Ok(()) };
        let key = keys::sequence_and_peer(origin, self.alias.as_str());
        let value = self.state.row(Table::Redriven, key.clone())?;
        self.state.rows.insert((Table::Redriven, key), None);
        if moves {
            self.state.rows.insert((Table::Redriven, keys::sequence_and_peer(origin, self.peer.as_str())), value);
        }
        Ok(())
    }

    /// Whether the peer has a delivery of its own, pending or dead, of the message that was recorded under `origin`.
    fn has_open(&mut self, origin: u64) -> Result<bool> {
        let is_held = self.held.contains(&origin);
        Ok(is_held || self.state.owed(self.peer, self.number, block_of(origin))?.now.bits.has(origin))
    }
}
