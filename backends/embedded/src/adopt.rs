//! How a peer takes the place of its alias.
//!
//! What is kept by peer number (pending deliveries and their notes) moves to the peer's number block by block; what
//! is kept by peer id (dead letters, and where a delivery was redriven to) moves to its id. The journal stays as it
//! is: traces find open deliveries where they are now.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use slipstream_store::{DeliveryState, Peer, PeerId, Result};

use crate::bits::{Bits, block_of};
use crate::codec::{self, DeadRow};
use crate::draft::{Draft, SettledHere};
use crate::engine::Table;
use crate::{keys, rows};

/// Who takes whose place.
struct Adoption<'a> {
    alias: &'a PeerId,
    alias_number: u64,
    peer: &'a PeerId,
    number: u64,
    /// The messages of which the peer has a dead letter or a redriven delivery of its own.
    held: BTreeSet<u64>,
}

impl Draft<'_, '_> {
    /// Gives what the alias is owed, and its dead letters, to the peer; whether that changed anything.
    pub(crate) fn adopt(&mut self, alias: &PeerId, peer: &Peer) -> Result<bool> {
        let is_new = self.remember(peer);
        let Some(alias_number) = self.peer(alias).map(|state| state.number) else { return Ok(is_new) };
        let Some(number) = self.peer(&peer.id).map(|state| state.number).filter(|&number| number != alias_number)
        else {
            return Ok(is_new);
        };
        let mut held = BTreeSet::new();
        for table in [Table::Dead, Table::Redriven] {
            self.each_of(table, &peer.id, &mut |sequence, _| {
                held.insert(sequence);
            })?;
        }
        let adoption = Adoption { alias, alias_number, peer: &peer.id, number, held };
        for block in self.owed_blocks(alias_number)? {
            self.adopt_block(&adoption, block)?;
        }
        let mut dead = BTreeMap::new();
        self.each_of(Table::Dead, alias, &mut |sequence, value| {
            dead.insert(sequence, value.to_vec());
        })?;
        for (sequence, value) in dead {
            self.adopt_dead_letter(&adoption, sequence, value)?;
        }
        self.peers.insert(alias.clone(), None);
        self.peers_changed();
        Ok(true)
    }

    /// Moves the pending deliveries of a block.
    fn adopt_block(&mut self, adoption: &Adoption<'_>, block: u64) -> Result<()> {
        let touched = self.owed(adoption.alias, adoption.alias_number, block)?;
        let before = std::mem::take(&mut touched.now);
        let mut moved = Bits::NONE;
        for sequence in before.bits.numbers(block) {
            let noted = before.noted.has(sequence);
            if self.adopt_delivery(adoption, sequence, noted)? {
                moved.set(sequence);
            }
        }
        if moved != before.bits {
            self.dirty.insert(block);
        }
        let touched = self.owed(adoption.peer, adoption.number, block)?;
        touched.now.bits |= moved;
        touched.now.noted |= moved & before.noted;
        Ok(())
    }

    /// Moves what is noted of a pending delivery; whether the delivery moves, and does not go.
    fn adopt_delivery(&mut self, adoption: &Adoption<'_>, sequence: u64, noted: bool) -> Result<bool> {
        if !noted {
            return Ok(!self.has_open(adoption, sequence)?);
        }
        let note = self.note(adoption.alias_number, sequence)?;
        let moves = !self.has_open(adoption, note.origin.unwrap_or(sequence))?;
        self.rows.insert((Table::Notes, keys::pair(adoption.alias_number, sequence)), None);
        if moves {
            let key = keys::pair(adoption.number, sequence);
            self.rows.insert((Table::Notes, key), Some(codec::encode(&note)?));
        }
        self.adopt_redriven(adoption, note.origin, moves)?;
        Ok(moves)
    }

    fn adopt_dead_letter(&mut self, adoption: &Adoption<'_>, sequence: u64, value: Vec<u8>) -> Result<()> {
        let dead: DeadRow<'_> = codec::decode(&value, "a dead letter")?;
        let (origin, at) = (dead.origin, dead.dead_at);
        let moves = !self.has_open(adoption, origin.unwrap_or(sequence))?;
        self.adopt_redriven(adoption, origin, moves)?;
        self.rows.insert((Table::Dead, keys::sequence_and_peer(sequence, adoption.alias.as_str())), None);
        if !moves {
            self.counters.dead_letters -= 1;
            return Ok(());
        }
        self.rows.insert((Table::Dead, keys::sequence_and_peer(sequence, adoption.peer.as_str())), Some(value));
        // So that the trace knows of it also once the dead letter was discarded.
        let (peer, state, block) = (adoption.peer.clone(), DeliveryState::Dead, block_of(sequence));
        let mut bits = Bits::NONE;
        bits.set(sequence);
        self.settled.push(SettledHere { peer, state, at, origin, block, bits });
        Ok(())
    }

    /// Moves the row that says under which sequence a delivery was redriven, or removes it.
    fn adopt_redriven(&mut self, adoption: &Adoption<'_>, origin: Option<u64>, moves: bool) -> Result<()> {
        let Some(origin) = origin else { return Ok(()) };
        let key = keys::sequence_and_peer(origin, adoption.alias.as_str());
        let value = self.row(Table::Redriven, key.clone())?;
        self.rows.insert((Table::Redriven, key), None);
        if moves {
            self.rows.insert((Table::Redriven, keys::sequence_and_peer(origin, adoption.peer.as_str())), value);
        }
        Ok(())
    }

    /// Whether the peer has a delivery of its own, pending or dead, of the message that was recorded under `origin`.
    fn has_open(&mut self, adoption: &Adoption<'_>, origin: u64) -> Result<bool> {
        let is_held = adoption.held.contains(&origin);
        Ok(is_held || self.owed(adoption.peer, adoption.number, block_of(origin))?.now.bits.has(origin))
    }

    /// Shows the rows of a table keyed by sequence and peer id that are this peer's, as this draft has them. It goes
    /// over the whole table.
    fn each_of(&self, table: Table, peer: &PeerId, visit: &mut dyn FnMut(u64, &[u8])) -> Result<()> {
        let mut show = |key: &[u8], value: &[u8]| -> Result<()> {
            let (sequence, id) = keys::split_sequence_and_peer(key).ok_or_else(|| rows::bad_key(table))?;
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
