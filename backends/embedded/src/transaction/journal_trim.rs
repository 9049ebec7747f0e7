//! Which rows of the journal a purge removes, and what it writes again of them.
//!
//! Rows leave oldest first, once none of their identities is remembered; what a row says of a message that is still
//! pending or a dead letter, or that was settled lately, is carried over into the purge's own row.

use std::ops::ControlFlow;

use slipstream_store::{Horizon, Result, Sequence};

use crate::engine::Tables;
use crate::ledger::counters::OldestRow;
use crate::ledger::state::Ledger;
use crate::rows::bits::block_of;
use crate::rows::index::RunRow;
use crate::rows::journal::JournalRow;
use crate::rows::table::Table;
use crate::rows::{codec, index, keys, read};
use crate::transaction::apply::Transaction;
use crate::transaction::overlay::Overlay;

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

impl LeavingRows {
    /// Reads the rows of the journal that the horizon lets go.
    pub(crate) fn find(
        ledger: &Ledger,
        tables: &dyn Tables,
        horizon: &Horizon,
        identities_from: u64,
        budget: u64,
    ) -> Result<Self> {
        let mut leaving = Self { next: ledger.oldest_row, ..Self::default() };
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
            let row: JournalRow<'_> = codec::decode_journal(value)?;
            let commit = keys::first_number(key).ok_or_else(|| read::bad_key(Table::Journal))?;
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

    /// How many rows leave.
    pub(crate) fn count(&self) -> u64 {
        self.rows.len() as u64
    }

    /// Whether more rows would leave if the budget were larger.
    pub(crate) fn has_more(&self) -> bool {
        self.more
    }

    /// Removes the rows. Returns what has to be written again of them.
    pub(crate) fn remove(
        &self,
        transaction: &mut Transaction<'_, '_>,
        horizon: &Horizon,
    ) -> Result<Vec<JournalRow<'_>>> {
        transaction.oldest_row = self.next;
        let state = &mut transaction.state;
        let mut carried = Vec::new();
        for (commit, value) in &self.rows {
            let mut row: JournalRow<'_> = codec::decode_journal(value)?;
            let is_old = row.latest.saturating_add(slack(horizon)) < horizon.traces.as_millis();
            let bytes = state.counters.journal_bytes;
            state.counters.journal_bytes = bytes.saturating_sub(value.len() as u64);
            state.rows.insert((Table::Journal, keys::number(*commit)), None);
            // If a row leaves for its size, the contract lets go all of it.
            if is_old {
                keep_wanted(state, &mut row, horizon)?;
                if !row.is_empty() {
                    carried.push(row);
                }
            } else if let Some(last) = row.last_told() {
                let index = &mut state.counters.index;
                index.whole_from = index.whole_from.max(last.saturating_add(1));
            }
        }
        if !self.rows.is_empty() {
            remove_quiet_blocks(state, horizon);
            remove_runs(state, self.next.map_or(state.counters.next_commit, |next| next.commit))?;
        }
        Ok(carried)
    }
}

fn slack(horizon: &Horizon) -> u64 {
    horizon.now.as_millis().saturating_sub(horizon.traces.as_millis()) / SLACK
}

/// Leaves in a row only what is still wanted.
fn keep_wanted(state: &Overlay<'_>, row: &mut JournalRow<'_>, horizon: &Horizon) -> Result<()> {
    let held = held_open(state.tables, row)?;
    let wanted = |origin: u64| {
        let block = state.block(block_of(origin));
        block.stored.has(origin)
            || block.latest_change >= horizon.traces.as_millis()
            || held.binary_search(&origin).is_ok()
    };
    row.recorded.retain(|recorded| wanted(recorded.sequence));
    row.imported.retain(|imported| wanted(imported.sequence));
    row.redriven.retain(|redriven| wanted(redriven.origin));
    row.check_runs(state.counters.next_sequence)?;
    for stamped in &mut row.stamped {
        stamped.runs.retain(wanted);
    }
    row.stamped.retain(|stamped| !stamped.runs.is_empty());
    for settled in &mut row.settled {
        if settled.origin.is_none() {
            settled.runs.retain(wanted);
        }
    }
    row.settled.retain(|settled| settled.origin.map_or(!settled.runs.is_empty(), wanted));
    Ok(())
}

/// The messages among those that the row names of which there is a dead letter or a redriven delivery.
fn held_open(tables: &dyn Tables, row: &JournalRow<'_>) -> Result<Vec<u64>> {
    let recorded = row.told().map(|recorded| (recorded.sequence, recorded.sequence));
    let redriven = row.redriven.iter().map(|redriven| (redriven.origin, redriven.origin));
    let settled = row.settled.iter().flat_map(|settled| {
        let ends = |(first, count): (u64, u64)| (first, first.saturating_add(count));
        settled.runs.iter().map(ends).chain(settled.origin.map(|origin| (origin, origin)))
    });
    let ends = recorded.chain(redriven).chain(settled);
    let Some((first, last)) = ends.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1))) else {
        return Ok(Vec::new());
    };
    let mut held = Vec::new();
    for table in [Table::Dead, Table::Redriven] {
        tables.scan(table, &keys::number(first), &keys::number(last.saturating_add(1)), &mut |key, _| {
            held.push(keys::first_number(key).ok_or_else(|| read::bad_key(table))?);
            Ok(ControlFlow::Continue(()))
        })?;
    }
    held.sort_unstable();
    held.dedup();
    Ok(held)
}

/// Removes the runs of the index all of whose rows have left the journal, which begins with the commit `oldest` now.
fn remove_runs(state: &mut Overlay<'_>, oldest: u64) -> Result<()> {
    while state.counters.index.first_run < state.counters.index.next_run {
        let run = state.counters.index.first_run;
        let mut rows = Vec::new();
        state.tables.scan(Table::Runs, &index::key(run, 0), &index::key(run, u32::MAX), &mut |key, value| {
            if RunRow::decode(value)?.last >= oldest {
                return Ok(ControlFlow::Break(()));
            }
            rows.push(key.to_vec());
            Ok(ControlFlow::Continue(()))
        })?;
        if rows.is_empty() {
            return Ok(());
        }
        state.rows.extend(rows.into_iter().map(|key| ((Table::Runs, key), None)));
        state.counters.index.first_run += 1;
    }
    Ok(())
}

/// Removes what is known of blocks whose messages are gone and can be traced no longer.
fn remove_quiet_blocks(state: &mut Overlay<'_>, horizon: &Horizon) {
    let head = block_of(state.counters.next_sequence);
    let traces = horizon.traces.as_millis();
    let quiet = state.ledger.blocks.range(..head).filter(|(_, block)| {
        let is_empty = block.stored.is_empty() && block.packs.is_empty();
        is_empty && block.latest_change.saturating_add(slack(horizon)) < traces
    });
    for (&number, _) in quiet {
        // A delivery that was redriven from there may have been settled just now.
        state.blocks.entry(number).or_insert(None);
    }
}
