//! What a draft does to deliveries: settling, attempts, dead letters, redriving.

use slipstream_store::{DeliveryState, Outcome, PeerId, Result, Sequence, StoreError, Timestamp};

use crate::bits::{Bits, block_of};
use crate::codec::{self, DeadRow, NoteRow, RedrivenRow};
use crate::draft::{Draft, RecordedHere, ResolvedRoute, SettledHere};
use crate::engine::{MessageRow, Table};
use crate::journal::Redriven;
use crate::keys;
use crate::owned::OwnedMessage;
use crate::rows;

/// What was noted about a delivery that was pending.
struct Taken {
    origin: Option<u64>,
}

impl<'b> Draft<'_, 'b> {
    /// Ends a delivery for good; whether it was pending.
    pub(crate) fn settle(
        &mut self,
        peer: &PeerId,
        sequence: Sequence,
        state: DeliveryState,
        at: Timestamp,
    ) -> Result<bool> {
        let Some(taken) = self.take(peer, sequence.get(), state, at.as_millis())? else { return Ok(false) };
        if let Some(origin) = taken.origin {
            self.rows.insert((Table::Redriven, keys::sequence_and_peer(origin, peer.as_str())), None);
        }
        Ok(true)
    }

    /// Settles a delivery that the peer has handled, also if it is a dead letter by now.
    pub(crate) fn acknowledge(&mut self, peer: &PeerId, sequence: Sequence, at: Timestamp) -> Result<Outcome> {
        if self.settle(peer, sequence, DeliveryState::Acknowledged, at)? {
            return Ok(Outcome::Applied);
        }
        let Some(origin) = self.remove_dead_letter(peer, sequence)? else { return Ok(Outcome::Unchanged) };
        let (state, at, block) = (DeliveryState::Acknowledged, at.as_millis(), block_of(sequence.get()));
        let mut bits = Bits::NONE;
        bits.set(sequence.get());
        for block in [block].into_iter().chain(origin.map(block_of)) {
            self.changed_at(block, at);
            self.dirty.insert(block);
        }
        self.settled.push(SettledHere { peer: peer.clone(), state, at, origin, block, bits });
        Ok(Outcome::AcknowledgedLate)
    }

    /// Takes a delivery out of the pending ones and notes how it was settled; `None` where it was not pending.
    fn take(&mut self, peer: &PeerId, sequence: u64, state: DeliveryState, at: u64) -> Result<Option<Taken>> {
        let Some(number) = self.peer(peer).map(|state| state.number) else { return Ok(None) };
        let touched = self.owed(peer, number, block_of(sequence))?;
        if !touched.now.bits.has(sequence) {
            return Ok(None);
        }
        touched.now.bits.clear(sequence);
        if touched.now.noted.has(sequence) {
            touched.now.noted.clear(sequence);
            return self.take_noted(peer, number, sequence, state, at).map(Some);
        }
        match &mut touched.settling {
            Some((same_state, same_at, bits)) if (*same_state, *same_at) == (state, at) => bits.set(sequence),
            settling => {
                let mut bits = Bits::NONE;
                bits.set(sequence);
                let before = settling.replace((state, at, bits));
                self.settled_alike(peer, block_of(sequence), before);
            }
        }
        Ok(Some(Taken { origin: None }))
    }

    fn take_noted(
        &mut self,
        peer: &PeerId,
        number: u64,
        sequence: u64,
        state: DeliveryState,
        at: u64,
    ) -> Result<Taken> {
        let note = self.note(number, sequence)?;
        self.rows.insert((Table::Notes, keys::pair(number, sequence)), None);
        let mut bits = Bits::NONE;
        bits.set(sequence);
        let block = block_of(sequence);
        let origin = note.origin;
        self.changed_at(block, at);
        self.dirty.insert(block);
        if let Some(origin) = origin {
            self.changed_at(block_of(origin), at);
        }
        self.settled.push(SettledHere { peer: peer.clone(), state, at, origin, block, bits });
        Ok(Taken { origin })
    }

    /// Notes that deliveries of a block were settled alike.
    fn settled_alike(&mut self, peer: &PeerId, block: u64, settling: Option<(DeliveryState, u64, Bits)>) {
        let Some((state, at, bits)) = settling else { return };
        self.changed_at(block, at);
        self.dirty.insert(block);
        self.settled.push(SettledHere { peer: peer.clone(), state, at, origin: None, block, bits });
    }

    /// Moves everything that was settled into the list of it.
    pub(crate) fn end_settling(&mut self) {
        for index in 0..self.owed.len() {
            let touched = &mut self.owed[index];
            if let Some(settling) = touched.settling.take() {
                let (peer, block) = (touched.peer.clone(), touched.block);
                self.settled_alike(&peer, block, Some(settling));
            }
        }
    }

    fn changed_at(&mut self, number: u64, at: u64) {
        let mut block = self.block(number);
        block.latest_change = block.latest_change.max(at);
        self.blocks.insert(number, Some(block));
    }

    /// A row that this draft may have changed.
    pub(crate) fn row(&self, table: Table, key: Vec<u8>) -> Result<Option<Vec<u8>>> {
        let place = (table, key);
        match self.rows.get(&place) {
            Some(here) => Ok(here.clone()),
            None => self.tables.get(table, &place.1),
        }
    }

    pub(crate) fn note(&self, number: u64, sequence: u64) -> Result<NoteRow> {
        let value = self.row(Table::Notes, keys::pair(number, sequence))?;
        value.map_or_else(|| Ok(NoteRow::default()), |value| codec::decode(&value, "a note"))
    }

    pub(crate) fn attempt(&mut self, peer: &PeerId, sequence: Sequence, attempt: u32, at: Timestamp) -> Result<bool> {
        let sequence = sequence.get();
        let Some(number) = self.peer(peer).map(|state| state.number) else { return Ok(false) };
        let touched = self.owed(peer, number, block_of(sequence))?;
        if !touched.now.bits.has(sequence) {
            return Ok(false);
        }
        let noted = touched.now.noted.has(sequence);
        let note = if noted { self.note(number, sequence)? } else { NoteRow::default() };
        if attempt <= note.attempts {
            return Ok(false);
        }
        let note = NoteRow { attempts: attempt, last_attempt_at: Some(at.as_millis()), ..note };
        self.put_note(peer, number, sequence, &note)?;
        Ok(true)
    }

    fn put_note(&mut self, peer: &PeerId, number: u64, sequence: u64, note: &NoteRow) -> Result<()> {
        let value = codec::encode(note)?;
        self.rows.insert((Table::Notes, keys::pair(number, sequence)), Some(value));
        self.owed(peer, number, block_of(sequence))?.now.noted.set(sequence);
        Ok(())
    }

    pub(crate) fn give_up(
        &mut self,
        peer: &PeerId,
        sequence: Sequence,
        reason: &str,
        attempts: u32,
        at: Timestamp,
    ) -> Result<bool> {
        let (sequence, dead_at) = (sequence.get(), at.as_millis());
        let Some(taken) = self.take(peer, sequence, DeliveryState::Dead, dead_at)? else { return Ok(false) };
        let row = self.with_message(sequence, |&message| {
            codec::encode(&DeadRow { reason, attempts, dead_at, origin: taken.origin, message })
        })?;
        self.rows.insert((Table::Dead, keys::sequence_and_peer(sequence, peer.as_str())), Some(row));
        self.counters.dead_letters += 1;
        Ok(true)
    }

    /// Passes a message that is stored, or that this draft stores, to `work`.
    fn with_message<T>(&self, sequence: u64, work: impl FnOnce(&MessageRow<'_>) -> Result<T>) -> Result<T> {
        if let Ok(index) = self.recorded.binary_search_by_key(&sequence, |recorded| recorded.sequence) {
            let recorded = &self.recorded[index];
            return work(&message_row(recorded, &self.routes[recorded.route]));
        }
        if let Ok(index) = self.appended.binary_search_by_key(&sequence, |appended| appended.sequence) {
            return work(&self.appended[index].row());
        }
        rows::message(self.tables, sequence, work)?
            .ok_or_else(|| StoreError::Corrupted(format!("message {sequence} is pending but not stored")))
    }

    pub(crate) fn discard(&mut self, peer: &PeerId, sequence: Sequence) -> Result<bool> {
        Ok(self.remove_dead_letter(peer, sequence)?.is_some())
    }

    /// Removes a dead letter. Returns the sequence that its message was recorded under, if it was redriven since;
    /// `None` if there is no such dead letter.
    fn remove_dead_letter(&mut self, peer: &PeerId, sequence: Sequence) -> Result<Option<Option<u64>>> {
        let key = keys::sequence_and_peer(sequence.get(), peer.as_str());
        let Some(value) = self.row(Table::Dead, key.clone())? else { return Ok(None) };
        let dead: DeadRow<'_> = codec::decode(&value, "a dead letter")?;
        if let Some(origin) = dead.origin {
            self.rows.insert((Table::Redriven, keys::sequence_and_peer(origin, peer.as_str())), None);
        }
        self.rows.insert((Table::Dead, key), None);
        self.counters.dead_letters -= 1;
        Ok(Some(dead.origin))
    }

    pub(crate) fn redrive(&mut self, peer: &PeerId, dead: Sequence) -> Result<Outcome> {
        let Some(number) = self.peer(peer).map(|state| state.number) else { return Ok(Outcome::Unchanged) };
        let key = keys::sequence_and_peer(dead.get(), peer.as_str());
        let Some(value) = self.row(Table::Dead, key.clone())? else { return Ok(Outcome::Unchanged) };
        let row: DeadRow<'_> = codec::decode(&value, "a dead letter")?;
        let (next, sequence) = self.next_sequence()?;
        let origin = row.origin.unwrap_or(dead.get());
        let message = OwnedMessage::new(&row.message, next);

        let mut block = self.block(block_of(next));
        block.stored.set(next);
        block.expires_by(message.expires_at);
        block.latest_change = block.latest_change.max(message.received_at);
        self.blocks.insert(block_of(next), Some(block));
        self.owed(peer, number, block_of(next))?.now.bits.set(next);
        self.put_note(peer, number, next, &NoteRow { origin: Some(origin), ..NoteRow::default() })?;
        let redriven = codec::encode(&RedrivenRow { sequence: next })?;
        self.rows.insert((Table::Redriven, keys::sequence_and_peer(origin, peer.as_str())), Some(redriven));
        self.redriven.push((peer.clone(), Redriven { peer: 0, origin, sequence: next }));
        self.rows.insert((Table::Dead, key), None);
        self.counters.dead_letters -= 1;
        self.appended.push(message);
        Ok(Outcome::Redriven { sequence })
    }
}

/// The row of a message that is being recorded.
pub(crate) fn message_row<'r>(recorded: &RecordedHere<'r>, route: &'r ResolvedRoute<'_>) -> MessageRow<'r> {
    let record = recorded.record;
    MessageRow {
        sequence: recorded.sequence,
        group: record.identity.group.as_str(),
        id: record.identity.id.as_str(),
        message_type: record.message_type.as_str(),
        key: record.key.as_ref().map(|key| key.as_str()),
        expires_at: record.expires_at.map(|time| time.as_millis()),
        received_at: record.received_at.as_millis(),
        received_from: route.route.received_from.as_str(),
        path: &route.path,
        text: &record.text,
    }
}
