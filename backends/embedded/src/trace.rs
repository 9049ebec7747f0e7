//! Where a message stands, put together from the journal, what is pending and the dead letters.
//!
//! The journal is read twice, row by row: to find the newest record of the identity, and to gather what became of
//! its deliveries. This is for people; it holds a reader for as long as it takes to read the journal, and no memory.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use slipstream_store::{
    DeliveryState, Identity, PeerId, Result, Sequence, StoreError, Timestamp, Trace, TracedDelivery,
};

use crate::bits::{Bits, block_of};
use crate::codec::{self, DeadRow, NoteRow, OwedRow};
use crate::engine::{MessageRow, Table, Tables};
use crate::journal::{JournalRow, state_of};
use crate::{keys, pages, rows};

/// What the record of a message says, and which sequence it has.
struct Header {
    origin: u64,
    trace: Trace,
    recipients: Vec<PeerId>,
}

/// What became of one delivery, as far as it is known.
#[derive(Debug, Clone, Copy, Default)]
struct Fate {
    sequence: u64,
    settled: Option<(DeliveryState, u64)>,
}

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
    // Where the journal was cut for its size, the message itself or a dead letter may still tell of it.
    let header = match header {
        Some(header) => Some(header),
        None => header_of_stored(tables, identity)?,
    };
    let Some(mut header) = header else { return Ok(None) };
    let mut fates: BTreeMap<PeerId, Fate> = BTreeMap::new();
    for peer in &header.recipients {
        fates.insert(peer.clone(), Fate { sequence: header.origin, settled: None });
    }
    each_row(tables, &mut |row| gather(row, header.origin, &mut fates))?;
    for (peer, fate) in fates {
        header.trace.deliveries.extend(traced(tables, peer, fate)?);
    }
    Ok(Some(header.trace))
}

fn each_row(tables: &dyn Tables, visit: &mut dyn FnMut(&JournalRow<'_>) -> Result<()>) -> Result<()> {
    tables.scan(Table::Journal, &keys::number(0), &keys::number(Sequence::LAST.get()), &mut |_, value| {
        visit(&codec::decode(value, "a journal row")?).map(ControlFlow::Continue)
    })
}

fn header_of(row: &JournalRow<'_>, recorded: &crate::journal::Recorded<'_>, identity: &Identity) -> Result<Header> {
    let route = row.route(recorded.route)?;
    let peers = |numbers: &[u32]| numbers.iter().map(|&number| rows::name(row.name(number)?)).collect::<Result<_>>();
    let trace = Trace {
        identity: identity.clone(),
        message_type: rows::name(row.name(recorded.message_type)?)?,
        key: recorded.key.map(rows::name).transpose()?,
        received_at: Timestamp::from_millis(recorded.received_at),
        received_from: rows::name(row.name(route.received_from)?)?,
        path: peers(&route.path)?,
        deliveries: Vec::new(),
    };
    Ok(Header { origin: recorded.sequence, trace, recipients: peers(&route.recipients)? })
}

/// The newest message or dead letter of the identity, and to whom it is owed now.
fn header_of_stored(tables: &dyn Tables, identity: &Identity) -> Result<Option<Header>> {
    let mut header: Option<Header> = None;
    let is_meant = |row: &MessageRow<'_>| row.id == identity.id.as_str() && row.group == identity.group.as_str();
    tables.messages(1, Sequence::LAST.get(), &mut |row| {
        if is_meant(row) {
            header = Some(stored_header(row, identity, Vec::new())?);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    tables.scan(Table::Dead, &[], &[0xFF; 136], &mut |key, value| {
        let dead: DeadRow<'_> = codec::decode(value, "a dead letter")?;
        let (sequence, peer) = keys::split_sequence_and_peer(key).ok_or_else(|| rows::bad_key(Table::Dead))?;
        if is_meant(&dead.message) && header.as_ref().is_none_or(|header| header.origin <= sequence) {
            let mut recipients = match header.take() {
                Some(header) if header.origin == sequence => header.recipients,
                _ => Vec::new(),
            };
            recipients.push(rows::name(peer)?);
            header = Some(stored_header(&MessageRow { sequence, ..dead.message }, identity, recipients)?);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let Some(mut found) = header else { return Ok(None) };
    tables.scan(Table::Peers, &[], &[0xFF], &mut |key, _| {
        let peer: PeerId = rows::name(std::str::from_utf8(key).map_err(|_| rows::bad_key(Table::Peers))?)?;
        if is_owed(tables, &peer, found.origin)?.is_some() {
            found.recipients.push(peer);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(Some(found))
}

fn stored_header(row: &MessageRow<'_>, identity: &Identity, recipients: Vec<PeerId>) -> Result<Header> {
    let trace = Trace {
        identity: identity.clone(),
        message_type: rows::name(row.message_type)?,
        key: row.key.map(rows::name).transpose()?,
        received_at: Timestamp::from_millis(row.received_at),
        received_from: rows::name(row.received_from)?,
        path: rows::path(row.path)?,
        deliveries: Vec::new(),
    };
    Ok(Header { origin: row.sequence, trace, recipients })
}

/// Takes from a row what it says of the deliveries of a message. Of a delivery under several sequences, what is said
/// of the last holds.
fn gather(row: &JournalRow<'_>, origin: u64, fates: &mut BTreeMap<PeerId, Fate>) -> Result<()> {
    for redriven in row.redriven.iter().filter(|redriven| redriven.origin == origin) {
        let fate = fates.entry(rows::name(row.name(redriven.peer)?)?).or_default();
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
            let fate = fates.entry(rows::name(row.name(settled.peer)?)?).or_default();
            if sequence >= fate.sequence {
                *fate = Fate { sequence, settled: Some((state_of(settled.state)?, settled.at)) };
            }
        }
    }
    Ok(())
}

/// The delivery as the tables have it now; `None` where it was settled and how is forgotten.
fn traced(tables: &dyn Tables, peer: PeerId, fate: Fate) -> Result<Option<TracedDelivery>> {
    let sequence = pages::sequence(fate.sequence)?;
    let mut delivery = TracedDelivery {
        peer,
        sequence,
        state: DeliveryState::Pending,
        attempts: 0,
        last_attempt_at: None,
        settled_at: None,
        reason: None,
    };
    let dead = tables.get(Table::Dead, &keys::sequence_and_peer(fate.sequence, delivery.peer.as_str()))?;
    if let Some(value) = dead {
        let dead: DeadRow<'_> = codec::decode(&value, "a dead letter")?;
        delivery.state = DeliveryState::Dead;
        delivery.attempts = dead.attempts;
        delivery.settled_at = Some(Timestamp::from_millis(dead.dead_at));
        delivery.reason = Some(dead.reason.to_owned());
    } else if let Some((state, at)) = fate.settled {
        delivery.state = state;
        delivery.settled_at = Some(Timestamp::from_millis(at));
    } else if let Some(note) = is_owed(tables, &delivery.peer, fate.sequence)? {
        delivery.attempts = note.attempts;
        delivery.last_attempt_at = rows::times(note.last_attempt_at);
    } else {
        return Ok(None);
    }
    Ok(Some(delivery))
}

/// What is noted about a pending delivery; `None` where it is not pending.
fn is_owed(tables: &dyn Tables, peer: &PeerId, sequence: u64) -> Result<Option<NoteRow>> {
    let Some(number) = pages::peer_number(tables, peer)? else { return Ok(None) };
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
