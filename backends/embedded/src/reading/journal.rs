//! The rows of the journal that tell of a message, found by the index.
//!
//! What stood in the journal before there was an index is read over, as everything was then.

use std::ops::ControlFlow;

use slipstream_store::{Result, Sequence, StoreError};

use crate::engine::Tables;
use crate::ledger::tail::Tail;
use crate::rows::codec::{self, IndexRow};
use crate::rows::index::{self, RunRow};
use crate::rows::journal::JournalRow;
use crate::rows::table::Table;
use crate::rows::{keys, read};

/// Is shown rows of the journal.
pub(crate) type VisitRow<'v> = dyn FnMut(&JournalRow<'_>) -> Result<()> + 'v;

/// The journal of a view on the tables.
pub(crate) struct Journal<'t> {
    tables: &'t dyn Tables,
    /// None if all of it has to be read: an earlier version wrote it.
    found_by: Option<(IndexRow, &'t Tail)>,
}

impl<'t> Journal<'t> {
    /// The journal with its index, of which the end is in a tail that was copied before there was the view.
    pub(crate) fn of(tables: &'t dyn Tables, tail: &'t Tail) -> Result<Self> {
        let index = read::meta(tables)?;
        let index = index.map(|meta| Ok(codec::decode_meta(&meta)?.index)).transpose()?.flatten();
        let unindexed = Self::unindexed(tables);
        Ok(index.map_or(unindexed, |index| Self { tables, found_by: Some((index, tail)) }))
    }

    /// The journal without its index.
    pub(crate) fn unindexed(tables: &'t dyn Tables) -> Self {
        Self { tables, found_by: None }
    }

    pub(crate) fn tables(&self) -> &'t dyn Tables {
        self.tables
    }

    /// The sequence from which on no record has left the journal for its size.
    pub(crate) fn whole_from(&self) -> u64 {
        self.found_by.map_or(u64::MAX, |(index, _)| index.whole_from)
    }

    /// Shows at least the rows with this hash, in no order.
    pub(crate) fn each(&self, hash: u32, visit: &mut VisitRow<'_>) -> Result<()> {
        let Some((index, tail)) = self.found_by else { return self.scan(0, Sequence::LAST.get(), visit) };
        if index.from > 1 {
            self.scan(0, index.from - 1, visit)?;
        }
        let mut commits = Vec::new();
        for run in index.first_run..index.next_run {
            self.find_in_run(run, hash, &mut commits)?;
        }
        tail.find(hash, &mut commits);
        commits.sort_unstable();
        commits.dedup();
        for commit in commits.into_iter().filter(|commit| (index.from..tail.end()).contains(commit)) {
            // Its row may have left, and what was still wanted of it is in a later one.
            if let Some(value) = self.tables.get(Table::Journal, &keys::number(commit))? {
                visit(&codec::decode_journal(&value)?)?;
            }
        }
        self.scan(tail.end().max(index.from), Sequence::LAST.get(), visit)
    }

    fn find_in_run(&self, run: u64, hash: u32, commits: &mut Vec<u64>) -> Result<()> {
        let mut is_there = false;
        self.tables.scan(Table::Runs, &index::key(run, hash), &index::key(run, u32::MAX), &mut |_, value| {
            is_there = true;
            commits.extend(RunRow::decode(value)?.commits(hash));
            Ok(ControlFlow::Break(()))
        })?;
        if is_there {
            Ok(())
        } else {
            Err(StoreError::Corrupted(format!("run {run} of the journal's index is missing")))
        }
    }

    fn scan(&self, first: u64, last: u64, visit: &mut VisitRow<'_>) -> Result<()> {
        self.tables.scan(Table::Journal, &keys::number(first), &keys::number(last), &mut |key, value| {
            keys::first_number(key).ok_or_else(|| read::bad_key(Table::Journal))?;
            visit(&codec::decode_journal(value)?).map(ControlFlow::Continue)
        })
    }
}
