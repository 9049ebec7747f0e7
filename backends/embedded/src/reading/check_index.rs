//! Looking for contradictions between the journal and its index.

use std::ops::ControlFlow;

use slipstream_store::{Defect, Result, Sequence, StoreError};

use crate::engine::Tables;
use crate::ledger::state::Ledger;
use crate::rows::codec;
use crate::rows::index::{self, RunRow};
use crate::rows::journal::JournalRow;
use crate::rows::table::Table;
use crate::rows::{keys, read};

/// A run as its rows have it.
struct FoundRun {
    first: u64,
    last: u64,
    /// Hashes and commits.
    entries: Vec<(u32, u64)>,
}

/// Every row of the journal that is in a run is found there under all that it tells, and nothing else is; what is not in a
/// run is read at opening.
pub(crate) fn check_index(tables: &dyn Tables, ledger: &Ledger, defects: &mut Vec<Defect>) -> Result<()> {
    match look(tables, ledger) {
        Err(StoreError::Corrupted(text) | StoreError::Unsupported(text)) => {
            defects.push(Defect(text));
            Ok(())
        }
        other => other,
    }
}

fn look(tables: &dyn Tables, ledger: &Ledger) -> Result<()> {
    let index = ledger.counters.index;
    let oldest = ledger.oldest_row.map_or(ledger.counters.next_commit, |row| row.commit);
    // Up to here it does not matter what is in the runs.
    let begin = index.from.max(oldest).min(index.to);
    let mut next = None;
    for number in index.first_run..index.next_run {
        let run = read_run(tables, number)?;
        let follows = next.map_or((index.from..=begin).contains(&run.first), |next| run.first == next);
        if !follows || run.last >= index.to {
            return damaged(number, "is not of the commits after those of the run before");
        }
        let there = run.entries.iter().copied().filter(|(_, commit)| *commit >= oldest);
        if !there.eq(expected(tables, ledger, run.first.max(oldest), run.last)?) {
            return damaged(number, "is not what the journal says");
        }
        next = Some(run.last + 1);
    }
    if next.unwrap_or(begin) != index.to {
        return damaged(index.next_run, "is missing");
    }
    // Beyond the last run there may be the beginning of the next.
    let is_known = |(run, _): (u64, u32)| (index.first_run..=index.next_run).contains(&run);
    tables.scan(
        Table::Runs,
        &keys::number(0),
        &keys::number(Sequence::LAST.get()),
        &mut |key, _| match index::split_key(key) {
            Some(key) if is_known(key) => Ok(ControlFlow::Continue(())),
            Some((number, _)) => damaged(number, "belongs to no index").map(ControlFlow::Continue),
            None => Err(read::bad_key(Table::Runs)),
        },
    )
}

fn damaged(run: u64, what: &str) -> Result<()> {
    Err(StoreError::Corrupted(format!("run {run} of the journal's index {what}")))
}

/// A run, whose rows go on where those before end.
fn read_run(tables: &dyn Tables, number: u64) -> Result<FoundRun> {
    let mut found: Option<FoundRun> = None;
    let mut end = None;
    tables.scan(Table::Runs, &index::key(number, 0), &index::key(number, u32::MAX), &mut |key, value| {
        let row = RunRow::decode(value)?;
        let run = found.get_or_insert(FoundRun { first: row.first, last: row.last, entries: Vec::new() });
        let before = run.entries.len();
        run.entries.extend(row.entries());
        let upper = index::split_key(key).map_or(0, |(_, hash)| hash);
        let is_within = run.entries[before..].iter().all(|&(hash, commit)| {
            hash <= upper && end.is_none_or(|end| hash > end) && (run.first..=run.last).contains(&commit)
        });
        let is_sorted = run.entries[before..].is_sorted();
        if !is_within || !is_sorted || (row.first, row.last) != (run.first, run.last) || before == run.entries.len() {
            damaged(number, "has a row that does not belong there")?;
        }
        end = Some(upper);
        Ok(ControlFlow::Continue(()))
    })?;
    match found.filter(|_| end == Some(u32::MAX)) {
        Some(run) => Ok(run),
        None => Err(StoreError::Corrupted(format!("run {number} of the journal's index is missing or has no end"))),
    }
}

/// The hashes and commits that a run has of these rows of the journal, in its order.
fn expected(tables: &dyn Tables, ledger: &Ledger, first: u64, last: u64) -> Result<Vec<(u32, u64)>> {
    let mut expected = Vec::new();
    if first > last {
        return Ok(expected);
    }
    tables.scan(Table::Journal, &keys::number(first), &keys::number(last), &mut |key, value| {
        let commit = keys::first_number(key).ok_or_else(|| read::bad_key(Table::Journal))?;
        let row: JournalRow<'_> = codec::decode_journal(value)?;
        let hashes = index::hashes(&row, ledger.counters.next_sequence)?;
        expected.extend(hashes.into_iter().map(|hash| (hash, commit)));
        Ok(ControlFlow::Continue(()))
    })?;
    expected.sort_unstable();
    expected.dedup();
    Ok(expected)
}
