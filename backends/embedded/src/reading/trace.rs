//! Where a message stands, put together from what is pending, the dead letters and the journal.
//!
//! What is pending or a dead letter is looked up under whoever has it now; how other deliveries were settled, the
//! journal tells. It is read twice, row by row: to find the newest record of the identity, and to gather what became
//! of its deliveries. This is for people; it holds a reader for as long as it takes to read the journal, and no memory.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use slipstream_store::{
    DeliveryState, Identity, PeerId, Result, Sequence, StoreError, Timestamp, Trace, TracedDelivery,
};

use crate::engine::Tables;
use crate::reading::pages;
use crate::rows::bits::{Bits, block_of};
use crate::rows::codec::{self, DeadRow, NoteRow, OwedRow, RedrivenRow};
use crate::rows::journal::{JournalRow, Recorded, state_code, state_of};
use crate::rows::table::{MessageRow, Table};
use crate::rows::{keys, read};

/// What the record of a message says, and which sequence it has.
struct Header {
    origin: u64,
    trace: Trace,
}

/// What became of one delivery, as far as the journal tells.
#[derive(Debug, Clone, Copy, Default)]
struct Fate {
    sequence: u64,
    settled: Option<(DeliveryState, u64)>,
}

/// The deliveries of a message, by peer.
type Deliveries = BTreeMap<PeerId, TracedDelivery>;

pub(crate) fn trace(tables: &dyn Tables, identity: &Identity) -> Result<Option<Trace>> {
    let mut header = None;
    each_row(tables, &mut |row| {
        for recorded in row.recorded.iter().filter(|recorded| recorded.id == identity.id.as_str()) {
            let is_newer = header.as_ref().is_none_or(|header: &Header| recorded.sequence > header.origin);
            if is_newer && row.name(recorded.group)? == identity.group.as_str() {
                header = Some(header_of(row, recorded, identity)?);
            }
        }
        Ok(())
    })?;
    // If the journal was cut for its size, the message itself or a dead letter may still tell of it.
    let header = match header {
        Some(header) => Some(header),
        None => header_of_stored(tables, identity)?,
    };
    let Some(mut header) = header else { return Ok(None) };
    let mut deliveries = Deliveries::new();
    let mut fates: BTreeMap<PeerId, Fate> = BTreeMap::new();
    each_row(tables, &mut |row| gather(row, header.origin, &mut fates))?;
    for (peer, fate) in fates {
        if let Some((state, at)) = fate.settled {
            let settled_at = Some(Timestamp::from_millis(at));
            let delivery = TracedDelivery { state, settled_at, ..pending(&peer, fate.sequence, &NoteRow::default())? };
            deliveries.insert(peer, delivery);
        }
    }
    find_pending(tables, header.origin, &mut deliveries)?;
    find_dead(tables, header.origin, &mut deliveries)?;
    find_redriven(tables, header.origin, &mut deliveries)?;
    header.trace.deliveries = deliveries.into_values().collect();
    Ok(Some(header.trace))
}

fn each_row(tables: &dyn Tables, visit: &mut dyn FnMut(&JournalRow<'_>) -> Result<()>) -> Result<()> {
    tables.scan(Table::Journal, &keys::number(0), &keys::number(Sequence::LAST.get()), &mut |_, value| {
        visit(&codec::decode(value, "a journal row")?).map(ControlFlow::Continue)
    })
}

fn header_of(row: &JournalRow<'_>, recorded: &Recorded<'_>, identity: &Identity) -> Result<Header> {
    let route = row.route(recorded.route)?;
    let peers = |numbers: &[u32]| numbers.iter().map(|&number| read::name(row.name(number)?)).collect::<Result<_>>();
    let trace = Trace {
        identity: identity.clone(),
        message_type: read::name(row.name(recorded.message_type)?)?,
        key: recorded.key.map(read::name).transpose()?,
        received_at: Timestamp::from_millis(recorded.received_at),
        received_from: read::name(row.name(route.received_from)?)?,
        path: peers(&route.path)?,
        deliveries: Vec::new(),
    };
    Ok(Header { origin: recorded.sequence, trace })
}

/// The newest message or dead letter of the identity.
fn header_of_stored(tables: &dyn Tables, identity: &Identity) -> Result<Option<Header>> {
    let mut header: Option<Header> = None;
    let is_meant = |row: &MessageRow<'_>| row.id == identity.id.as_str() && row.group == identity.group.as_str();
    tables.messages(1, Sequence::LAST.get(), &mut |row| {
        if is_meant(row) {
            header = Some(stored_header(row, identity)?);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    tables.scan(Table::Dead, &[], &[0xFF; 136], &mut |key, value| {
        let dead: DeadRow<'_> = codec::decode(value, "a dead letter")?;
        let (sequence, _) = keys::split_sequence_and_peer(key).ok_or_else(|| read::bad_key(Table::Dead))?;
        if is_meant(&dead.message) && header.as_ref().is_none_or(|header| header.origin < sequence) {
            header = Some(stored_header(&MessageRow { sequence, ..dead.message }, identity)?);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(header)
}

fn stored_header(row: &MessageRow<'_>, identity: &Identity) -> Result<Header> {
    let trace = Trace {
        identity: identity.clone(),
        message_type: read::name(row.message_type)?,
        key: row.key.map(read::name).transpose()?,
        received_at: Timestamp::from_millis(row.received_at),
        received_from: read::name(row.received_from)?,
        path: read::path(row.path)?,
        deliveries: Vec::new(),
    };
    Ok(Header { origin: row.sequence, trace })
}

/// Takes from a row what it says of the deliveries of a message. Of a delivery under several sequences, what is said
/// of the last holds.
fn gather(row: &JournalRow<'_>, origin: u64, fates: &mut BTreeMap<PeerId, Fate>) -> Result<()> {
    for redriven in row.redriven.iter().filter(|redriven| redriven.origin == origin) {
        let fate = fates.entry(read::name(row.name(redriven.peer)?)?).or_default();
        if redriven.sequence > fate.sequence {
            *fate = Fate { sequence: redriven.sequence, settled: None };
        }
    }
    for settled in &row.settled {
        let sequence = match settled.origin {
            Some(named) if named == origin => settled.runs.first().map(|&(first, _)| first),
            Some(_) => None,
            None => {
                settled.runs.iter().any(|&(first, count)| origin >= first && origin - first < count).then_some(origin)
            }
        };
        if let Some(sequence) = sequence {
            let fate = fates.entry(read::name(row.name(settled.peer)?)?).or_default();
            let state = state_of(settled.state)?;
            // Twice if a dead letter was acknowledged, or if the peer had the delivery from an alias, too. The order of
            // rows says nothing.
            let rank = |state, at| (at, state != DeliveryState::Dead, state_code(state));
            let is_later = |(other, at)| rank(state, settled.at) > rank(other, at);
            let is_newer = sequence > fate.sequence;
            if is_newer || (sequence == fate.sequence && fate.settled.is_none_or(is_later)) {
                *fate = Fate { sequence, settled: Some((state, settled.at)) };
            }
        }
    }
    Ok(())
}

fn pending(peer: &PeerId, sequence: u64, note: &NoteRow) -> Result<TracedDelivery> {
    Ok(TracedDelivery {
        peer: peer.clone(),
        sequence: pages::sequence(sequence)?,
        state: DeliveryState::Pending,
        attempts: note.attempts,
        last_attempt_at: read::times(note.last_attempt_at),
        settled_at: None,
        reason: None,
    })
}

/// Finds who is owed the message under this sequence.
fn find_pending(tables: &dyn Tables, sequence: u64, deliveries: &mut Deliveries) -> Result<()> {
    tables.scan(Table::Peers, &[], &[0xFF], &mut |key, value| {
        let peer: PeerId = read::name(std::str::from_utf8(key).map_err(|_| read::bad_key(Table::Peers))?)?;
        let (row, ..) = codec::decode_peer(value)?;
        if let Some(note) = is_owed(tables, row.number, sequence)? {
            deliveries.insert(peer.clone(), pending(&peer, sequence, &note)?);
        }
        Ok(ControlFlow::Continue(()))
    })
}

/// Finds the dead letters that have this sequence.
fn find_dead(tables: &dyn Tables, sequence: u64, deliveries: &mut Deliveries) -> Result<()> {
    let (first, last) = (keys::number(sequence), keys::number(sequence.saturating_add(1)));
    tables.scan(Table::Dead, &first, &last, &mut |key, value| {
        let (_, peer) = keys::split_sequence_and_peer(key).ok_or_else(|| read::bad_key(Table::Dead))?;
        let peer: PeerId = read::name(peer)?;
        deliveries.insert(peer.clone(), dead_letter(&peer, sequence, value)?);
        Ok(ControlFlow::Continue(()))
    })
}

fn dead_letter(peer: &PeerId, sequence: u64, value: &[u8]) -> Result<TracedDelivery> {
    let dead: DeadRow<'_> = codec::decode(value, "a dead letter")?;
    Ok(TracedDelivery {
        state: DeliveryState::Dead,
        attempts: dead.attempts,
        settled_at: Some(Timestamp::from_millis(dead.dead_at)),
        reason: Some(dead.reason.into()),
        ..pending(peer, sequence, &NoteRow::default())?
    })
}

/// Finds the deliveries of the message that were redriven and are pending or dead letters.
fn find_redriven(tables: &dyn Tables, origin: u64, deliveries: &mut Deliveries) -> Result<()> {
    let (first, last) = (keys::number(origin), keys::number(origin.saturating_add(1)));
    tables.scan(Table::Redriven, &first, &last, &mut |key, value| {
        let (_, peer) = keys::split_sequence_and_peer(key).ok_or_else(|| read::bad_key(Table::Redriven))?;
        let (peer, row): (PeerId, RedrivenRow) = (read::name(peer)?, codec::decode(value, "a redriven delivery")?);
        let dead = tables.get(Table::Dead, &keys::sequence_and_peer(row.sequence, peer.as_str()))?;
        if let Some(value) = dead {
            deliveries.insert(peer.clone(), dead_letter(&peer, row.sequence, &value)?);
        } else if let Some(number) = pages::peer_number(tables, &peer)?
            && let Some(note) = is_owed(tables, number, row.sequence)?
        {
            deliveries.insert(peer.clone(), pending(&peer, row.sequence, &note)?);
        }
        Ok(ControlFlow::Continue(()))
    })
}

/// What is noted about a pending delivery; `None` if it is not pending.
fn is_owed(tables: &dyn Tables, number: u64, sequence: u64) -> Result<Option<NoteRow>> {
    let Some(value) = tables.get(Table::Owed, &keys::pair(number, block_of(sequence)))? else { return Ok(None) };
    let row: OwedRow = codec::decode(&value, "a block of pending deliveries")?;
    if !Bits::from_bytes(&row.bits).has(sequence) {
        return Ok(None);
    }
    let note = tables.get(Table::Notes, &keys::pair(number, sequence))?;
    note.map_or(Ok(Some(NoteRow::default())), |value| codec::decode(&value, "a note").map(Some))
}

/// An error of a trace names the message.
pub(crate) fn about(identity: &Identity, error: StoreError) -> StoreError {
    match error {
        StoreError::Corrupted(text) => StoreError::Corrupted(format!("tracing {identity}: {text}")),
        other => other,
    }
}
