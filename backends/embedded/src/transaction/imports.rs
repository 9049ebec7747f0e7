//! What a transaction imports: dead letters that were taken out of a store, this or another.
//!
//! An import must find out whether the dead letter is there already, and dead letters are not kept by identity. The
//! journal tells under which sequences an identity was recorded or imported, for as long as there is a dead letter of it;
//! its index makes that a few reads. Only where the journal was cut for its size, or has no index yet, the dead letters
//! from before are read over, once a transaction.

use std::ops::ControlFlow;

use hashbrown::HashMap;
use slipstream_store::{DeadLetterReason, DeliveryState, Outcome, PeerId, Record, Result, Sequence, Timestamp};

use crate::engine::Visited;
use crate::reading::journal::Journal;
use crate::rows::bits::block_of;
use crate::rows::codec::{self, DeadRow, RedrivenRow};
use crate::rows::dead_counts::Change;
use crate::rows::table::Table;
use crate::rows::{index, keys, read};
use crate::transaction::deliveries::Deliveries;
use crate::transaction::overlay::Overlay;
use crate::transaction::recording::{Recording, message_row, path_text};

/// What a transaction imports, for the journal. `'b` is the life of the batch.
#[derive(Default)]
pub(crate) struct Imports<'b> {
    pub(crate) imported: Vec<Imported<'b>>,
    /// The keys of the dead letters that the journal may not tell of, by the hash of their identity.
    untold: Option<HashMap<u32, Vec<Vec<u8>>>>,
}

/// A message of a dead letter that was imported.
pub(crate) struct Imported<'b> {
    pub(crate) sequence: u64,
    pub(crate) record: &'b Record,
}

/// A dead letter as a batch brings it.
pub(crate) struct DeadLetterToImport<'b> {
    pub(crate) peer: &'b PeerId,
    pub(crate) record: &'b Record,
    pub(crate) reason: &'b DeadLetterReason,
    pub(crate) attempts: u32,
    pub(crate) dead_at: Timestamp,
}

impl<'b> Imports<'b> {
    /// Imports a dead letter, unless it is there already.
    pub(crate) fn import(
        &mut self,
        state: &mut Overlay<'_>,
        recording: &Recording<'_>,
        deliveries: &mut Deliveries,
        letter: &DeadLetterToImport<'b>,
    ) -> Result<Outcome> {
        let DeadLetterToImport { peer, record, attempts, .. } = *letter;
        if self.is_there(state, recording, peer, record)? {
            return Ok(Outcome::Unchanged);
        }
        let (number, sequence) = state.next_sequence()?;
        let (reason, dead_at) = (letter.reason.to_string(), letter.dead_at.as_millis());
        let path = path_text(&record.route);
        let message = message_row(number, record, &path);
        let row = codec::encode(&DeadRow { reason: &reason, attempts, dead_at, origin: None, message })?;
        state.rows.insert((Table::Dead, keys::sequence_and_peer(number, peer.as_str())), Some(row));
        state.count_dead(peer, Change::Comes, &reason, dead_at)?;
        // It may have been given up long ago; its trace begins now.
        state.changed_at(block_of(number), message.received_at);
        deliveries.settled_alone(state, peer, number, DeliveryState::Dead, dead_at, None);
        self.imported.push(Imported { sequence: number, record });
        Ok(Outcome::Imported { sequence })
    }

    /// Whether the peer has a dead letter of this identity with this text.
    fn is_there(
        &mut self,
        state: &Overlay<'_>,
        recording: &Recording<'_>,
        peer: &PeerId,
        record: &Record,
    ) -> Result<bool> {
        let hash = index::of_identity(record.identity.group.as_str(), record.identity.id.as_str());
        let here = recording.messages.iter().map(|message| (message.sequence, message.record));
        let here = here.chain(self.imported.iter().map(|imported| (imported.sequence, imported.record)));
        let mut told: Vec<u64> =
            here.filter(|(_, other)| other.identity == record.identity).map(|(sequence, _)| sequence).collect();
        let tail = state.ledger.tail();
        let journal = Journal::of(state.tables, &tail)?;
        journal.each(hash, &mut |row| {
            told.extend(row.told().filter(|told| told.id == record.identity.id.as_str()).map(|told| told.sequence));
            Ok(())
        })?;
        for origin in told {
            let key = keys::sequence_and_peer(origin, peer.as_str());
            if is_letter(state, key.clone(), record)? {
                return Ok(true);
            }
            let Some(value) = state.row(Table::Redriven, key)? else { continue };
            let RedrivenRow { sequence } = codec::decode(&value, "a redriven delivery")?;
            if is_letter(state, keys::sequence_and_peer(sequence, peer.as_str()), record)? {
                return Ok(true);
            }
        }
        let untold = match &mut self.untold {
            Some(untold) => untold,
            none => none.insert(untold(state, journal.whole_from())?),
        };
        for key in untold.get(&hash).into_iter().flatten() {
            let is_peers = keys::split_sequence_and_peer(key).is_some_and(|(_, of)| of == peer.as_str());
            if is_peers && is_letter(state, key.clone(), record)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether there is a dead letter under this key, and it has the identity and the text of the record.
fn is_letter(state: &Overlay<'_>, key: Vec<u8>, record: &Record) -> Result<bool> {
    let Some(value) = state.row(Table::Dead, key)? else { return Ok(false) };
    let DeadRow { message, .. } = codec::decode(&value, "a dead letter")?;
    let identity = &record.identity;
    Ok(message.id == identity.id.as_str() && message.group == identity.group.as_str() && message.text == record.text)
}

/// The dead letters whose message was recorded before `end`, also those that were redriven since, by the hash of their
/// identity.
fn untold(state: &Overlay<'_>, end: u64) -> Result<HashMap<u32, Vec<Vec<u8>>>> {
    let mut untold: HashMap<u32, Vec<Vec<u8>>> = HashMap::new();
    if end <= 1 {
        return Ok(untold);
    }
    let mut note = |key: &[u8], value: &[u8]| -> Visited {
        let DeadRow { message, .. } = codec::decode(value, "a dead letter")?;
        untold.entry(index::of_identity(message.group, message.id)).or_default().push(key.to_vec());
        Ok(ControlFlow::Continue(()))
    };
    let end = keys::number(end.min(Sequence::LAST.get()));
    state.tables.scan(Table::Dead, &[], &end, &mut note)?;
    state.tables.scan(Table::Redriven, &[], &end, &mut |key, value| {
        let (_, peer) = keys::split_sequence_and_peer(key).ok_or_else(|| read::bad_key(Table::Redriven))?;
        let RedrivenRow { sequence } = codec::decode(value, "a redriven delivery")?;
        let key = keys::sequence_and_peer(sequence, peer);
        state.tables.get(Table::Dead, &key)?.map_or(Ok(ControlFlow::Continue(())), |value| note(&key, &value))
    })?;
    Ok(untold)
}
