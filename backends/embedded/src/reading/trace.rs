//! Where a message stands, put together from what is pending, the dead letters and the journal.
//!
//! What is pending or a dead letter is looked up under whoever has it now; how other deliveries were settled, the
//! journal tells. Its index is asked twice: for the newest record of the identity, and for what became of its
//! deliveries. The index names rows that tell of neighbours too, so each row is looked through.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use slipstream_store::{
    DeliveryState, Identity, PeerId, Result, Sequence, StoreError, Timestamp, Trace, TracedDelivery,
};

use crate::engine::{Tables, Visited};
use crate::reading::journal::Journal;
use crate::reading::pages;
use crate::rows::bits::{Bits, block_of};
use crate::rows::codec::{self, DeadRow, NoteRow, OwedRow, RedrivenRow};
use crate::rows::journal::{JournalRow, Recorded, state_code, state_of};
use crate::rows::table::{MessageRow, Table};
use crate::rows::{index, keys, packed, read};

/// What is said of a message when it is recorded or imported, and under which sequence that was.
struct Header {
    origin: u64,
    is_imported: bool,
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

pub(crate) fn trace(journal: &Journal<'_>, identity: &Identity) -> Result<Option<Trace>> {
    let mut headers = Vec::new();
    let (group, id) = (identity.group.as_str(), identity.id.as_str());
    journal.each(index::of_identity(group, id), &mut |row| {
        let recorded = row.recorded.iter().map(|told| (told, false));
        for (told, is_imported) in recorded.chain(row.imported.iter().map(|told| (told, true))) {
            if told.id == id && row.name(told.group)? == group {
                headers.push(header_of(row, told, is_imported, identity)?);
            }
        }
        Ok(())
    })?;
    if headers.is_empty() {
        // If the journal was cut for its size, the message itself or a dead letter may still tell of it.
        headers.extend(header_of_stored(journal.tables(), journal.whole_from(), identity)?);
    }
    headers.sort_unstable_by_key(|header| header.origin);
    // What was imported after the newest record belongs to it.
    let newest = headers.iter().rposition(|header| !header.is_imported).unwrap_or_default();
    let mut deliveries = Deliveries::new();
    for header in headers.iter().skip(newest) {
        for (peer, delivery) in deliveries_of(journal, header.origin)? {
            if deliveries.get(&peer).is_none_or(|other| other.sequence < delivery.sequence) {
                deliveries.insert(peer, delivery);
            }
        }
    }
    let header = if headers.get(newest).is_some_and(|header| header.is_imported) {
        headers.pop()
    } else {
        headers.into_iter().nth(newest)
    };
    Ok(header.map(|header| Trace { deliveries: deliveries.into_values().collect(), ..header.trace }))
}

/// The deliveries of what was recorded or imported under this sequence.
fn deliveries_of(journal: &Journal<'_>, origin: u64) -> Result<Deliveries> {
    let tables = journal.tables();
    let mut deliveries = Deliveries::new();
    let mut fates: BTreeMap<PeerId, Fate> = BTreeMap::new();
    journal.each(index::of_deliveries(origin), &mut |row| gather(row, origin, &mut fates))?;
    for (peer, fate) in fates {
        if let Some((state, at)) = fate.settled {
            let settled_at = Some(Timestamp::from_millis(at));
            let delivery = TracedDelivery { state, settled_at, ..pending(&peer, fate.sequence, &NoteRow::default())? };
            deliveries.insert(peer, delivery);
        }
    }
    find_pending(tables, origin, &mut deliveries)?;
    find_dead(tables, origin, &mut deliveries)?;
    find_redriven(tables, origin, &mut deliveries)?;
    Ok(deliveries)
}

fn header_of(row: &JournalRow<'_>, recorded: &Recorded<'_>, is_imported: bool, identity: &Identity) -> Result<Header> {
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
    Ok(Header { origin: recorded.sequence, is_imported, trace })
}

/// The newest message or dead letter of the identity that was recorded before `end`. It reads all that is left of what was:
/// only of messages whose record left the journal for its size anything is found here.
fn header_of_stored(tables: &dyn Tables, end: u64, identity: &Identity) -> Result<Option<Header>> {
    let mut header: Option<Header> = None;
    let Some(last) = end.checked_sub(1).map(|last| last.min(Sequence::LAST.get())) else { return Ok(header) };
    let mut look = |row: &MessageRow<'_>| {
        let is_meant = row.id == identity.id.as_str() && row.group == identity.group.as_str();
        if is_meant && header.as_ref().is_none_or(|header| header.origin < row.sequence) {
            header = Some(stored_header(row, identity)?);
        }
        Ok(ControlFlow::Continue(()))
    };
    let before_end = keys::number(last + 1);
    tables.scan(Table::Blocks, &[], &keys::number(block_of(last)), &mut |key, _| {
        let block = keys::first_number(key).ok_or_else(|| read::bad_key(Table::Blocks))?;
        let mut before = !Bits::NONE;
        before.keep_below(block, last + 1);
        packed::messages(tables, block, before, &mut look)
    })?;
    tables.scan(Table::Dead, &[], &before_end, &mut |key, value| look_at_dead(key, value, &mut look))?;
    tables.scan(Table::Redriven, &[], &before_end, &mut |key, value| {
        let (_, peer) = keys::split_sequence_and_peer(key).ok_or_else(|| read::bad_key(Table::Redriven))?;
        let RedrivenRow { sequence } = codec::decode(value, "a redriven delivery")?;
        packed::message(tables, sequence, |row| look(row).map(drop))?;
        let key = keys::sequence_and_peer(sequence, peer);
        let dead = tables.get(Table::Dead, &key)?;
        dead.map_or(Ok(ControlFlow::Continue(())), |value| look_at_dead(&key, &value, &mut look))
    })?;
    Ok(header)
}

/// Looks at the message of a dead letter, under its sequence.
fn look_at_dead(key: &[u8], value: &[u8], look: &mut dyn FnMut(&MessageRow<'_>) -> Visited) -> Visited {
    let dead: DeadRow<'_> = codec::decode(value, "a dead letter")?;
    let (sequence, _) = keys::split_sequence_and_peer(key).ok_or_else(|| read::bad_key(Table::Dead))?;
    look(&MessageRow { sequence, ..dead.message })
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
    Ok(Header { origin: row.sequence, is_imported: false, trace })
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
            Some(named) if named == origin => settled.runs.sequences().next(),
            Some(_) => None,
            None => settled.runs.contains(origin).then_some(origin),
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
    let block = tables.get(Table::Blocks, &keys::number(block_of(sequence)))?;
    let block = block.map(|value| codec::decode_block(&value)).transpose()?;
    if block.is_none_or(|(row, _)| !Bits::from_bytes(&row.stored).has(sequence)) {
        // What is pending is stored, so that most peers need not be asked.
        return Ok(());
    }
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
