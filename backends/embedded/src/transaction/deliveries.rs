//! What a transaction does to deliveries: settling, attempts, dead letters, redriving.

use slipstream_store::{DeadLetterReason, DeliveryState, Outcome, PeerId, Result, Sequence, StoreError, Timestamp};

use crate::rows::bits::{Bits, block_of};
use crate::rows::codec::{self, DeadRow, NoteRow, RedrivenRow};
use crate::rows::dead_counts::Change;
use crate::rows::journal::Redriven;
use crate::rows::owned::OwnedMessage;
use crate::rows::table::{MessageRow, Table};
use crate::rows::{keys, packed};
use crate::transaction::overlay::Overlay;
use crate::transaction::recording::Recording;

/// What became of deliveries in a transaction, for the journal, and the messages that were redriven.
#[derive(Default)]
pub(crate) struct Deliveries {
    pub(crate) settled: Vec<Settlement>,
    pub(crate) redriven: Vec<(PeerId, Redriven)>,
    /// The messages that were redriven, under their new sequences.
    pub(crate) appended: Vec<OwnedMessage>,
}

/// Deliveries of one peer that were settled alike.
pub(crate) struct Settlement {
    pub(crate) peer: PeerId,
    pub(crate) state: DeliveryState,
    pub(crate) at: u64,
    pub(crate) origin: Option<u64>,
    pub(crate) block: u64,
    pub(crate) bits: Bits,
}

/// What was noted about a delivery that was pending.
struct Taken {
    origin: Option<u64>,
}

impl Deliveries {
    /// Ends a delivery for good; whether it was pending.
    pub(crate) fn settle(
        &mut self,
        state: &mut Overlay<'_>,
        peer: &PeerId,
        sequence: Sequence,
        outcome: DeliveryState,
        at: Timestamp,
    ) -> Result<bool> {
        let Some(taken) = self.take(state, peer, sequence.get(), outcome, at.as_millis())? else { return Ok(false) };
        if let Some(origin) = taken.origin {
            state.rows.insert((Table::Redriven, keys::sequence_and_peer(origin, peer.as_str())), None);
        }
        Ok(true)
    }

    /// Ends these deliveries of a block as expired.
    pub(crate) fn expire(
        &mut self,
        state: &mut Overlay<'_>,
        peer: &PeerId,
        block: u64,
        bits: Bits,
        at: Timestamp,
    ) -> Result<()> {
        for sequence in bits.numbers(block).filter_map(Sequence::new) {
            self.settle(state, peer, sequence, DeliveryState::Expired, at)?;
        }
        Ok(())
    }

    /// Settles a delivery that the peer has handled, also if it is a dead letter by now.
    pub(crate) fn acknowledge(
        &mut self,
        state: &mut Overlay<'_>,
        peer: &PeerId,
        sequence: Sequence,
        at: Timestamp,
    ) -> Result<Outcome> {
        if self.settle(state, peer, sequence, DeliveryState::Acknowledged, at)? {
            return Ok(Outcome::Applied);
        }
        let Some(origin) = remove_dead_letter(state, peer, sequence)? else { return Ok(Outcome::Unchanged) };
        self.settled_alone(state, peer, sequence.get(), DeliveryState::Acknowledged, at.as_millis(), origin);
        state.dirty.extend(origin.map(block_of));
        Ok(Outcome::AcknowledgedLate)
    }

    /// Takes a delivery out of the pending ones and notes how it was settled; `None` if it was not pending.
    fn take(
        &mut self,
        state: &mut Overlay<'_>,
        peer: &PeerId,
        sequence: u64,
        outcome: DeliveryState,
        at: u64,
    ) -> Result<Option<Taken>> {
        let Some(number) = state.peer_number(peer) else { return Ok(None) };
        let touched = state.owed(peer, number, block_of(sequence))?;
        if !touched.now.bits.has(sequence) {
            return Ok(None);
        }
        touched.now.bits.clear(sequence);
        if touched.now.noted.has(sequence) {
            touched.now.noted.clear(sequence);
            let origin = state.note(number, sequence)?.origin;
            state.rows.insert((Table::Notes, keys::pair(number, sequence)), None);
            self.settled_alone(state, peer, sequence, outcome, at, origin);
            return Ok(Some(Taken { origin }));
        }
        match &mut touched.settling {
            Some((same_outcome, same_at, bits)) if (*same_outcome, *same_at) == (outcome, at) => bits.set(sequence),
            settling => {
                let mut bits = Bits::NONE;
                bits.set(sequence);
                let before = settling.replace((outcome, at, bits));
                self.settled_alike(state, peer, block_of(sequence), before);
            }
        }
        Ok(Some(Taken { origin: None }))
    }

    /// Notes that one delivery was settled, which may have been redriven from `origin`.
    pub(crate) fn settled_alone(
        &mut self,
        state: &mut Overlay<'_>,
        peer: &PeerId,
        sequence: u64,
        outcome: DeliveryState,
        at: u64,
        origin: Option<u64>,
    ) {
        let mut bits = Bits::NONE;
        bits.set(sequence);
        let block = block_of(sequence);
        state.changed_at(block, at);
        state.dirty.insert(block);
        if let Some(origin) = origin {
            state.changed_at(block_of(origin), at);
        }
        self.settled.push(Settlement { peer: peer.clone(), state: outcome, at, origin, block, bits });
    }

    /// Notes that deliveries of a block were settled alike.
    fn settled_alike(
        &mut self,
        state: &mut Overlay<'_>,
        peer: &PeerId,
        block: u64,
        settling: Option<(DeliveryState, u64, Bits)>,
    ) {
        let Some((outcome, at, bits)) = settling else { return };
        state.changed_at(block, at);
        state.dirty.insert(block);
        self.settled.push(Settlement { peer: peer.clone(), state: outcome, at, origin: None, block, bits });
    }

    /// Moves everything that was settled into the list of it.
    pub(crate) fn end(&mut self, state: &mut Overlay<'_>) {
        for index in 0..state.owed.len() {
            let touched = &mut state.owed[index];
            if let Some(settling) = touched.settling.take() {
                let (peer, block) = (touched.peer.clone(), touched.block);
                self.settled_alike(state, &peer, block, Some(settling));
            }
        }
    }

    /// Makes a dead letter of a pending delivery, named by its peer and sequence; whether it was pending.
    pub(crate) fn give_up(
        &mut self,
        state: &mut Overlay<'_>,
        recording: &Recording<'_>,
        (peer, sequence): (&PeerId, Sequence),
        reason: &DeadLetterReason,
        attempts: u32,
        at: Timestamp,
    ) -> Result<bool> {
        let (sequence, dead_at) = (sequence.get(), at.as_millis());
        let Some(taken) = self.take(state, peer, sequence, DeliveryState::Dead, dead_at)? else { return Ok(false) };
        let reason = reason.to_string();
        let row = |&message: &MessageRow<'_>| {
            codec::encode(&DeadRow { reason: &reason, attempts, dead_at, origin: taken.origin, message })
        };
        let appended = self.appended.binary_search_by_key(&sequence, |appended| appended.sequence);
        let row = match (recording.message(sequence), appended) {
            (Some(message), _) => row(&message)?,
            (None, Ok(index)) => row(&self.appended[index].row())?,
            (None, Err(_)) => packed::message(state.tables, sequence, row)?
                .ok_or_else(|| StoreError::Corrupted(format!("message {sequence} is pending but not stored")))?,
        };
        state.rows.insert((Table::Dead, keys::sequence_and_peer(sequence, peer.as_str())), Some(row));
        state.count_dead(peer, Change::Comes, &reason, dead_at)?;
        Ok(true)
    }

    /// Makes a dead letter pending again, under a new sequence.
    pub(crate) fn redrive(&mut self, state: &mut Overlay<'_>, peer: &PeerId, dead: Sequence) -> Result<Outcome> {
        let Some(number) = state.peer_number(peer) else { return Ok(Outcome::Unchanged) };
        let key = keys::sequence_and_peer(dead.get(), peer.as_str());
        let Some(value) = state.row(Table::Dead, key.clone())? else { return Ok(Outcome::Unchanged) };
        let row: DeadRow<'_> = codec::decode(&value, "a dead letter")?;
        let (next, sequence) = state.next_sequence()?;
        let origin = row.origin.unwrap_or(dead.get());
        let message = OwnedMessage::new(&row.message, next);

        let mut block = state.block(block_of(next));
        block.stored.set(next);
        block.expires_by(message.expires_at);
        block.latest_change = block.latest_change.max(message.received_at);
        state.blocks.insert(block_of(next), Some(block));
        state.owed(peer, number, block_of(next))?.now.bits.set(next);
        state.put_note(peer, number, next, &NoteRow { origin: Some(origin), ..NoteRow::default() })?;
        let redriven = codec::encode(&RedrivenRow { sequence: next })?;
        state.rows.insert((Table::Redriven, keys::sequence_and_peer(origin, peer.as_str())), Some(redriven));
        self.redriven.push((peer.clone(), Redriven { peer: 0, origin, sequence: next }));
        state.rows.insert((Table::Dead, key), None);
        state.count_dead(peer, Change::Leaves, row.reason, row.dead_at)?;
        self.appended.push(message);
        Ok(Outcome::Redriven { sequence })
    }
}

/// Notes an attempt of a pending delivery; whether it is a later one than was noted.
pub(crate) fn attempt(
    state: &mut Overlay<'_>,
    peer: &PeerId,
    sequence: Sequence,
    attempt: u32,
    at: Timestamp,
) -> Result<bool> {
    let sequence = sequence.get();
    let Some(number) = state.peer_number(peer) else { return Ok(false) };
    let touched = state.owed(peer, number, block_of(sequence))?;
    if !touched.now.bits.has(sequence) {
        return Ok(false);
    }
    let noted = touched.now.noted.has(sequence);
    let note = if noted { state.note(number, sequence)? } else { NoteRow::default() };
    if attempt <= note.attempts {
        return Ok(false);
    }
    let note = NoteRow { attempts: attempt, last_attempt_at: Some(at.as_millis()), ..note };
    state.put_note(peer, number, sequence, &note)?;
    Ok(true)
}

/// Discards a dead letter; whether there was one.
pub(crate) fn discard(state: &mut Overlay<'_>, peer: &PeerId, sequence: Sequence) -> Result<bool> {
    Ok(remove_dead_letter(state, peer, sequence)?.is_some())
}

/// Removes a dead letter. Returns the sequence that its message was recorded under, if it was redriven since;
/// `None` if there is no such dead letter.
fn remove_dead_letter(state: &mut Overlay<'_>, peer: &PeerId, sequence: Sequence) -> Result<Option<Option<u64>>> {
    let key = keys::sequence_and_peer(sequence.get(), peer.as_str());
    let Some(value) = state.row(Table::Dead, key.clone())? else { return Ok(None) };
    let dead: DeadRow<'_> = codec::decode(&value, "a dead letter")?;
    if let Some(origin) = dead.origin {
        state.rows.insert((Table::Redriven, keys::sequence_and_peer(origin, peer.as_str())), None);
    }
    state.rows.insert((Table::Dead, key), None);
    state.count_dead(peer, Change::Leaves, dead.reason, dead.dead_at)?;
    Ok(Some(dead.origin))
}
