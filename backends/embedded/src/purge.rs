//! Forgetting what lies behind a horizon, and giving back its space.
//!
//! A purge is one commit: a draft that removes. Messages leave in runs, as soon as no peer's bit is set for them;
//! only blocks in which something was settled since the last purge are looked at, and most of what was settled has
//! left already with the commit that settled it (`settled.rs`). Rows of the journal leave oldest first, once none of their identities is remembered; what a row says of a message that is still pending or a dead
//! letter, or that was settled lately, is carried over into the purge's own row.

use std::num::NonZeroU32;
use std::ops::ControlFlow;

use slipstream_store::{Horizon, PeerId, Purged, Result, Sequence};

use crate::bits::{BLOCK, Bits, block_of};
use crate::codec;
use crate::draft::Draft;
use crate::engine::{Table, Tables};
use crate::journal::{JournalRow, Settled};
use crate::keys;
use crate::ledger::{Ledger, OldestRow};
use crate::prepared::Prepared;
use crate::rows;
use crate::stamps::StampAges;

/// Most bytes of journal rows that one purge reads, however large its budget.
const MOST_JOURNAL_BYTES: usize = 8 << 20;

/// Journal rows leave only when they are older than the horizon by this part of the retention. A message is mostly
/// settled soon after it is recorded; by then its block is quiet, and nothing of it has to be carried over.
const SLACK: u64 = 8;

/// Rows of the journal that may leave, and what is known of the row that comes after them.
#[derive(Debug, Default)]
pub(crate) struct LeavingRows {
    rows: Vec<(u64, Vec<u8>)>,
    next: Option<OldestRow>,
    more: bool,
}

/// How many of the oldest identities the horizon lets go, and the sequence of the first that stays.
pub(crate) fn leaving_identities(ledger: &Ledger, horizon: &Horizon, budget: u64) -> (u64, u64, bool) {
    let count = u64::try_from(ledger.identities.len()).unwrap_or(u64::MAX);
    let too_many = count.saturating_sub(horizon.max_identities);
    let mut leaving = 0;
    for (sequence, received_at) in ledger.identities.in_order() {
        if leaving >= too_many && received_at >= horizon.identities.as_millis() {
            return (leaving, sequence, false);
        }
        if leaving == budget {
            return (leaving, sequence, true);
        }
        leaving += 1;
    }
    (leaving, ledger.counters.next_sequence, false)
}

/// Reads the rows of the journal that the horizon lets go.
pub(crate) fn leaving_rows(
    ledger: &Ledger,
    tables: &dyn Tables,
    horizon: &Horizon,
    identities_from: u64,
    budget: u64,
) -> Result<LeavingRows> {
    let mut leaving = LeavingRows { next: ledger.oldest_row, ..LeavingRows::default() };
    let mut bytes_left = ledger.counters.journal_bytes;
    let is_due = |row: &OldestRow, bytes_left: u64| {
        row.last_recorded.is_none_or(|last| last < identities_from)
            && (row.latest.saturating_add(slack(horizon)) < horizon.traces.as_millis()
                || bytes_left > horizon.max_trace_bytes)
    };
    if ledger.oldest_row.is_none_or(|row| !is_due(&row, bytes_left)) {
        return Ok(leaving);
    }
    leaving.next = None;
    let mut bytes = 0;
    tables.scan(Table::Journal, &keys::number(0), &keys::number(Sequence::LAST.get()), &mut |key, value| {
        let row: JournalRow<'_> = codec::decode(value, "a journal row")?;
        let commit = keys::first_number(key).ok_or_else(|| rows::bad_key(Table::Journal))?;
        let seen = OldestRow { commit, latest: row.latest, last_recorded: row.last_recorded() };
        let due = is_due(&seen, bytes_left);
        let room = (leaving.rows.len() as u64) < budget && bytes < MOST_JOURNAL_BYTES;
        if !due || !room {
            leaving.next = Some(seen);
            leaving.more = due;
            return Ok(ControlFlow::Break(()));
        }
        bytes += value.len();
        bytes_left = bytes_left.saturating_sub(value.len() as u64);
        leaving.rows.push((commit, value.to_vec()));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(leaving)
}

fn slack(horizon: &Horizon) -> u64 {
    horizon.now.as_millis().saturating_sub(horizon.traces.as_millis()) / SLACK
}

/// Prepares a purge.
pub(crate) fn purge<'b>(
    ledger: &Ledger,
    tables: &dyn Tables,
    ages: &mut StampAges,
    horizon: &Horizon,
    budget: NonZeroU32,
) -> Result<(Prepared<'b>, Purged)> {
    let mut work = Work { budget: u64::from(budget.get()), purged: Purged::default() };
    let mut draft = Draft::new(ledger, tables);
    draft.expire_due(horizon, &mut work)?;
    draft.remove_messages(&mut work)?;
    draft.forget_identities(horizon, &mut work);
    draft.remove_stamps(horizon, ages, &mut work)?;
    let from = draft.counters.identities_from;
    let leaving = leaving_rows(ledger, tables, horizon, from, work.left())?;
    let carried = draft.remove_rows(&leaving, horizon, &mut work)?;
    let carried_at = horizon.now.max(horizon.traces).as_millis();
    Ok((draft.finish(&carried, carried_at)?, work.purged))
}

/// How far a purge has come.
struct Work {
    budget: u64,
    purged: Purged,
}

impl Work {
    fn left(&self) -> u64 {
        self.budget - self.purged.removed
    }
}

impl<'b> Draft<'_, 'b> {
    /// Ends the pending deliveries whose expiry has come.
    fn expire_due(&mut self, horizon: &Horizon, work: &mut Work) -> Result<()> {
        let now = horizon.expiries.as_millis();
        let due: Vec<u64> =
            self.ledger.expiring.iter().take_while(|(at, _)| *at <= now).map(|&(_, block)| block).collect();
        for number in due {
            let (mut expired, mut next) = (Bits::NONE, None);
            let first = number * BLOCK;
            self.tables.messages(first, first + (BLOCK - 1), &mut |row| {
                match row.expires_at {
                    Some(at) if at <= now => expired.set(row.sequence),
                    at => next = next.into_iter().chain(at).min(),
                }
                Ok(ControlFlow::Continue(()))
            })?;
            for (peer, peer_number) in self.owing_peers() {
                let pending = self.owed(&peer, peer_number, number)?.now.bits & expired;
                let taken = pending.lowest(work.left());
                self.expire(&peer, number, taken, horizon.now)?;
                let gone = taken.numbers(number).filter_map(Sequence::new);
                work.purged.expired.extend(gone.map(|sequence| (peer.clone(), sequence)));
                work.purged.removed += taken.count();
                if taken != pending {
                    work.purged.more = true;
                    return Ok(());
                }
            }
            self.end_settling();
            let mut block = self.block(number);
            block.earliest_expiry = next;
            self.blocks.insert(number, Some(block));
        }
        Ok(())
    }

    /// The peers that are owed anything, in the order of their ids.
    fn owing_peers(&self) -> Vec<(PeerId, u64)> {
        let owing = self.ledger.peers.iter().filter(|(_, state)| state.backlog > 0);
        let mut owing: Vec<_> = owing.map(|(id, state)| (id.clone(), state.number)).collect();
        owing.sort_unstable();
        owing
    }

    /// Removes the messages that nobody is owed any more.
    fn remove_messages(&mut self, work: &mut Work) -> Result<()> {
        self.end_settling();
        let dirty: Vec<u64> = self.ledger.dirty.union(&self.dirty).copied().collect();
        let owing = if dirty.is_empty() { Vec::new() } else { self.owing_peers() };
        for number in dirty {
            let mut block = self.block(number);
            let mut pending = Bits::NONE;
            for (peer, peer_number) in &owing {
                pending |= self.owed(peer, *peer_number, number)?.now.bits;
            }
            let gone = block.stored & !pending;
            let taken = gone.lowest(work.left());
            if !taken.is_empty() {
                block.stored = block.stored & !taken;
                if block.stored.is_empty() {
                    block.earliest_expiry = None;
                }
                self.blocks.insert(number, Some(block));
                self.removed_messages.extend(taken.runs(number, 1));
                work.purged.removed += taken.count();
            }
            if taken != gone {
                work.purged.more = true;
                return Ok(());
            }
            self.dirty.remove(&number);
            self.clean.insert(number);
        }
        Ok(())
    }

    fn forget_identities(&mut self, horizon: &Horizon, work: &mut Work) {
        let (leaving, from, more) = leaving_identities(self.ledger, horizon, work.left());
        if leaving > 0 {
            self.forgotten_identities = leaving;
            self.counters.identities_from = from;
            self.counters.identities_commit = self.ledger.identities_commit(from);
            work.purged.removed += leaving;
        }
        work.purged.more |= more;
    }

    fn remove_stamps(&mut self, horizon: &Horizon, ages: &mut StampAges, work: &mut Work) -> Result<()> {
        let before = horizon.stamps.as_millis();
        while let Some(key) = ages.next_before(before, self.tables)? {
            let latest = self.seen_block(key)?.latest;
            if latest >= before {
                ages.done(Some(latest));
                continue;
            }
            if work.left() == 0 {
                work.purged.more = true;
                return Ok(());
            }
            ages.done(None);
            self.seen.insert(key, None);
            work.purged.removed += 1;
        }
        Ok(())
    }

    /// Removes rows of the journal, and answers what has to be written again of them.
    fn remove_rows<'r>(
        &mut self,
        leaving: &'r LeavingRows,
        horizon: &Horizon,
        work: &mut Work,
    ) -> Result<Vec<JournalRow<'r>>> {
        self.oldest_row = leaving.next;
        work.purged.more |= leaving.more;
        let mut carried = Vec::new();
        for (commit, value) in &leaving.rows {
            let mut row: JournalRow<'_> = codec::decode(value, "a journal row")?;
            let is_old = row.latest.saturating_add(slack(horizon)) < horizon.traces.as_millis();
            self.counters.journal_bytes = self.counters.journal_bytes.saturating_sub(value.len() as u64);
            self.rows.insert((Table::Journal, keys::number(*commit)), None);
            work.purged.removed += 1;
            // Where a row leaves for its size, the contract lets go all of it.
            if is_old {
                self.keep_wanted(&mut row, horizon)?;
                if !row.is_empty() {
                    carried.push(row);
                }
            }
        }
        if !leaving.rows.is_empty() {
            self.remove_quiet_blocks(horizon);
        }
        Ok(carried)
    }

    /// Leaves in a row only what is still wanted.
    fn keep_wanted(&self, row: &mut JournalRow<'_>, horizon: &Horizon) -> Result<()> {
        let held = self.held_open(row)?;
        let wanted = |origin: u64| {
            let block = self.block(block_of(origin));
            block.stored.has(origin)
                || block.latest_change >= horizon.traces.as_millis()
                || held.binary_search(&origin).is_ok()
        };
        row.recorded.retain(|recorded| wanted(recorded.sequence));
        row.redriven.retain(|redriven| wanted(redriven.origin));
        let settled = std::mem::take(&mut row.settled);
        for settled in settled {
            if let Some(origin) = settled.origin {
                if wanted(origin) {
                    row.settled.push(settled);
                }
                continue;
            }
            let mut runs: Vec<(u64, u64)> = Vec::new();
            let sequences = settled.runs.iter().flat_map(|&(first, count)| first..first.saturating_add(count));
            for sequence in sequences.filter(|&sequence| wanted(sequence)) {
                match runs.last_mut() {
                    Some((first, count)) if *first + *count == sequence => *count += 1,
                    _ => runs.push((sequence, 1)),
                }
            }
            if !runs.is_empty() {
                row.settled.push(Settled { runs, ..settled });
            }
        }
        Ok(())
    }

    /// The messages among those that the row names of which there is a dead letter or a redriven delivery.
    fn held_open(&self, row: &JournalRow<'_>) -> Result<Vec<u64>> {
        let recorded = row.recorded.iter().map(|recorded| (recorded.sequence, recorded.sequence));
        let redriven = row.redriven.iter().map(|redriven| (redriven.origin, redriven.origin));
        let settled = row.settled.iter().flat_map(|settled| {
            let ends = |&(first, count): &(u64, u64)| (first, first.saturating_add(count));
            settled.runs.iter().map(ends).chain(settled.origin.map(|origin| (origin, origin)))
        });
        let ends = recorded.chain(redriven).chain(settled);
        let Some((first, last)) = ends.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1))) else {
            return Ok(Vec::new());
        };
        let mut held = Vec::new();
        for table in [Table::Dead, Table::Redriven] {
            self.tables.scan(table, &keys::number(first), &keys::number(last.saturating_add(1)), &mut |key, _| {
                held.push(keys::first_number(key).ok_or_else(|| rows::bad_key(table))?);
                Ok(ControlFlow::Continue(()))
            })?;
        }
        held.sort_unstable();
        held.dedup();
        Ok(held)
    }

    /// Removes what is known of blocks whose messages are gone and can be traced no longer.
    fn remove_quiet_blocks(&mut self, horizon: &Horizon) {
        let head = block_of(self.counters.next_sequence);
        let traces = horizon.traces.as_millis();
        let quiet = self.ledger.blocks.range(..head).filter(|(_, block)| {
            block.stored.is_empty() && block.latest_change.saturating_add(slack(horizon)) < traces
        });
        for (&number, _) in quiet {
            // A delivery that was redriven from there may have been settled just now.
            self.blocks.entry(number).or_insert(None);
        }
    }
}
