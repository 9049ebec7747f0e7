//! What there is once, and of which sequences each row of the journal tells.

use std::ops::ControlFlow;

use slipstream_store::{HeldOnce, Peer, PeerId, Result, Sequence, Timestamp};

use crate::engine::Tables;
use crate::ledger::peers;
use crate::rows::codec;
use crate::rows::journal::{JournalFormat, JournalRow};
use crate::rows::table::Table;
use crate::rows::{keys, read};

/// A row of the journal, and the first and the last message that it tells of.
pub(super) struct Span {
    pub(super) commit: u64,
    first: u64,
    last: u64,
}

impl Span {
    /// Whether the row may tell of messages from `first` up to before `end`.
    pub(super) fn meets(&self, first: u64, end: u64) -> bool {
        self.first < end && self.last >= first
    }
}

/// What one pass over the tables has found out.
pub(super) struct Known {
    pub(super) spans: Vec<Span>,
    /// The remembered peers with their numbers, by id.
    pub(super) peers: Vec<(Peer, u64)>,
    pub(super) identities_from: u64,
    pub(super) next_sequence: u64,
    whole_since: Timestamp,
}

impl Known {
    pub(super) fn read(tables: &dyn Tables) -> Result<Self> {
        let mut known = Self {
            spans: Vec::new(),
            peers: Vec::new(),
            identities_from: 1,
            next_sequence: 1,
            whole_since: Timestamp::ZERO,
        };
        let Some(meta) = read::meta(tables)? else { return Ok(known) };
        let meta = codec::decode_meta(&meta)?;
        (known.identities_from, known.next_sequence) = (meta.row.identities_from, meta.row.next_sequence);
        tables.scan(Table::Peers, &[], &[0xFF], &mut |key, value| {
            let id = std::str::from_utf8(key).map_err(|_| read::bad_key(Table::Peers))?;
            let state = peers::decode(read::name(id)?, value)?;
            known.peers.push((state.peer, state.number));
            Ok(ControlFlow::Continue(()))
        })?;
        let whole_from = meta.index.map_or(known.next_sequence, |index| index.whole_from);
        known.read_journal(tables, whole_from)?;
        Ok(known)
    }

    fn read_journal(&mut self, tables: &dyn Tables, whole_from: u64) -> Result<()> {
        let (mut first_whole, mut latest) = (None::<(u64, u64)>, 0);
        let (first, last) = (keys::number(0), keys::number(Sequence::LAST.get()));
        tables.scan(Table::Journal, &first, &last, &mut |key, value| {
            let commit = keys::first_number(key).ok_or_else(|| read::bad_key(Table::Journal))?;
            let row = codec::decode_journal(value)?;
            row.check_runs(self.next_sequence)?;
            self.spans.extend(span(commit, &row));
            latest = row.told().map(|told| told.received_at).fold(latest, u64::max);
            let told = row.recorded.iter().map(|recorded| (recorded.sequence, recorded.received_at));
            let whole = told.filter(|(sequence, _)| *sequence >= whole_from).min();
            first_whole = first_whole.into_iter().chain(whole).min();
            Ok(ControlFlow::Continue(()))
        })?;
        self.whole_since = match first_whole {
            _ if whole_from <= 1 => Timestamp::ZERO,
            Some((_, received_at)) => Timestamp::from_millis(received_at),
            None => Timestamp::from_millis(latest.saturating_add(1)),
        };
        Ok(())
    }

    /// The first sequence from this one on that a row tells of, or one before it.
    pub(super) fn next_told(&self, first: u64) -> Option<u64> {
        let behind = self.spans.iter().filter(|span| span.last >= first);
        behind.map(|span| span.first.max(first)).min()
    }
}

/// The messages that a row tells of; those that were redriven count as what they were recorded under.
fn span(commit: u64, row: &JournalRow<'_>) -> Option<Span> {
    let told = row.told().map(|told| (told.sequence, told.sequence));
    let redriven = row.redriven.iter().map(|redriven| (redriven.origin, redriven.origin));
    let settled = row.settled.iter().flat_map(|settled| {
        let alone = settled.origin.map(|origin| (origin, origin));
        let alike = settled.runs.iter().filter(|_| settled.origin.is_none());
        alone.into_iter().chain(alike.map(|(first, count)| (first, first.saturating_add(count.saturating_sub(1)))))
    });
    let all = told.chain(redriven).chain(settled);
    let (first, last) = all.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))?;
    Some(Span { commit, first, last })
}

/// What there is once.
pub(super) fn read(tables: &dyn Tables, known: &Known) -> Result<HeldOnce> {
    let Some(meta) = read::meta(tables)? else { return Ok(HeldOnce::default()) };
    let meta = codec::decode_meta(&meta)?;
    Ok(HeldOnce {
        relay: meta.row.relay.map(read::name::<PeerId>).transpose()?,
        peers: known.peers.iter().map(|(peer, _)| peer.clone()).collect(),
        whole_since: known.whole_since,
        has_imports: meta.journal >= JournalFormat::Imports,
    })
}
