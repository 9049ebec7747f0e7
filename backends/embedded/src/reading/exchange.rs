//! What was exchanged with a peer, read from the whole journal in two passes: what the peer settled, then what was recorded.
//!
//! The first pass keeps two bits a message, so that memory stays small however long the journal is; a row may tell of
//! messages that a later row records, since what a purge keeps is written again.

use std::ops::ControlFlow;

use hashbrown::HashMap;
use slipstream_store::{Came, DeliveryState, Exchanged, Fingerprint, PeerId, Result, Sent, Sequence, Show, Timestamp};
use ulid::Ulid;

use crate::engine::Tables;
use crate::reading::pages;
use crate::rows::bits::{Bits, block_of};
use crate::rows::codec;
use crate::rows::journal::{JournalRow, Recorded, RouteEntry, state_of};
use crate::rows::table::Table;
use crate::rows::{keys, read};

/// Shows what was exchanged with the peer; the answer is the time from which on none is missing for the journal's size.
pub(crate) fn exchanged(tables: &dyn Tables, peer: &PeerId, show: &Show) -> Result<Timestamp> {
    let Some(meta) = read::meta(tables)? else { return Ok(Timestamp::ZERO) };
    let meta = codec::decode_meta(&meta)?;
    let next_sequence = meta.row.next_sequence;
    let whole_from = meta.index.map_or(next_sequence, |index| index.whole_from);
    let mut settled = SettledBits::default();
    each_row(tables, &mut |row| settled.add(row, peer, next_sequence))?;
    let mut first_whole: Option<(u64, u64)> = None;
    each_row(tables, &mut |row| {
        let told = row.recorded.iter().map(|recorded| (recorded.sequence, recorded.received_at));
        let first = told.filter(|&(sequence, _)| sequence >= whole_from).min();
        first_whole = first_whole.into_iter().chain(first).min();
        show_row(row, peer, &settled, show)
    })?;
    Ok(match first_whole {
        _ if whole_from <= 1 => Timestamp::ZERO,
        Some((_, received_at)) => Timestamp::from_millis(received_at),
        None => Timestamp::MAX,
    })
}

/// Is shown a row of the journal.
type VisitRow<'v> = dyn FnMut(&JournalRow<'_>) -> Result<ControlFlow<()>> + 'v;

fn each_row(tables: &dyn Tables, visit: &mut VisitRow<'_>) -> Result<()> {
    let (first, last) = (keys::number(0), keys::number(Sequence::LAST.get()));
    tables.scan(Table::Journal, &first, &last, &mut |_, value| visit(&codec::decode_journal(value)?))
}

/// Which messages a peer has settled, and which of them it has acknowledged, by block.
#[derive(Default)]
struct SettledBits(HashMap<u64, [Bits; 2]>);

impl SettledBits {
    fn add(&mut self, row: &JournalRow<'_>, peer: &PeerId, next_sequence: u64) -> Result<ControlFlow<()>> {
        let Some(peer) = number_of(row, peer) else { return Ok(ControlFlow::Continue(())) };
        for settled in row.settled.iter().filter(|settled| settled.peer == peer) {
            settled.runs.check_below(next_sequence)?;
            let is_acknowledged = state_of(settled.state)? == DeliveryState::Acknowledged;
            match settled.origin {
                Some(origin) => self.set(origin, is_acknowledged),
                None => settled.runs.sequences().for_each(|sequence| self.set(sequence, is_acknowledged)),
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn set(&mut self, sequence: u64, is_acknowledged: bool) {
        let [settled, acknowledged] = self.0.entry(block_of(sequence)).or_default();
        settled.set(sequence);
        if is_acknowledged {
            acknowledged.set(sequence);
        }
    }

    /// Whether a message was sent to the peer, if it `was_owed` when it was recorded.
    fn sent(&self, sequence: u64, was_owed: bool) -> Sent {
        let has = |bits: &Bits| bits.has(sequence);
        match self.0.get(&block_of(sequence)).map(|bits| bits.each_ref().map(has)) {
            Some([_, true]) => Sent::Acknowledged,
            Some([true, _]) => Sent::Unacknowledged,
            _ if was_owed => Sent::Unacknowledged,
            _ => Sent::No,
        }
    }
}

fn show_row(row: &JournalRow<'_>, peer: &PeerId, settled: &SettledBits, show: &Show) -> Result<ControlFlow<()>> {
    let peer = number_of(row, peer);
    let mut epochs: Vec<(u64, u64, Ulid)> = Vec::new();
    for stamped in &row.stamped {
        epochs.extend(stamped.runs.iter().map(|(first, count)| (first, count, Ulid::from_bytes(stamped.epoch))));
    }
    epochs.sort_unstable();
    for recorded in &row.recorded {
        let before = epochs.partition_point(|&(first, ..)| first <= recorded.sequence);
        let run = before.checked_sub(1).and_then(|index| epochs.get(index));
        let Some(&(.., epoch)) = run.filter(|&&(first, count, _)| recorded.sequence - first < count) else { continue };
        let route = row.route(recorded.route)?;
        let was_owed = peer.is_some_and(|peer| route.recipients.contains(&peer));
        let Recorded { sequence, id, .. } = *recorded;
        let exchanged = Exchanged {
            sequence: pages::sequence(sequence)?,
            group: row.name(recorded.group)?,
            id,
            fingerprint: Fingerprint::from_u64(recorded.fingerprint),
            epoch,
            sent: settled.sent(sequence, was_owed),
            came: came(route, peer),
        };
        if show.show(&exchanged).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn came(route: &RouteEntry, peer: Option<u32>) -> Came {
    match peer {
        Some(peer) if route.received_from == peer => Came::FromPeer,
        Some(peer) if route.path.contains(&peer) => Came::ThroughPeer,
        _ => Came::Otherwise,
    }
}

/// The number of the peer in a row, if the row names it.
fn number_of(row: &JournalRow<'_>, peer: &PeerId) -> Option<u32> {
    row.names.iter().position(|name| *name == peer.as_str()).and_then(|index| u32::try_from(index).ok())
}
