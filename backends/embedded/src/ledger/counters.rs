//! The numbers that a ledger keeps for the whole store.

use slipstream_store::{PeerId, Result, Sequence, StoreError};

use crate::rows::codec::{IndexRow, MetaRow};
use crate::rows::journal::JournalFormat;

/// No number is larger.
const MOST: u64 = Sequence::LAST.get();

/// No run of the index has a larger number: it shares a key of 63 bits with a hash of 32.
const MOST_RUNS: u64 = (1 << 31) - 1;

/// The numbers that are written with every commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) next_sequence: u64,
    pub(crate) next_commit: u64,
    pub(crate) next_peer: u64,
    pub(crate) dead_letters: u64,
    pub(crate) journal_bytes: u64,
    /// Identities that were recorded below this sequence are forgotten.
    pub(crate) identities_from: u64,
    /// No commit before this one recorded an identity that is remembered.
    pub(crate) identities_commit: u64,
    pub(crate) index: IndexRow,
    /// The latest format that a row of the journal has had.
    pub(crate) journal: JournalFormat,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            next_sequence: 1,
            next_commit: 1,
            next_peer: 1,
            dead_letters: 0,
            journal_bytes: 0,
            identities_from: 1,
            identities_commit: 1,
            index: IndexRow { from: 1, to: 1, first_run: 0, next_run: 0, whole_from: 0 },
            journal: JournalFormat::Plain,
        }
    }
}

impl Counters {
    pub(crate) fn row<'a>(&self, relay: Option<&'a PeerId>) -> MetaRow<'a> {
        MetaRow {
            next_sequence: self.next_sequence,
            next_commit: self.next_commit,
            next_peer: self.next_peer,
            dead_letters: self.dead_letters,
            journal_bytes: self.journal_bytes,
            identities_from: self.identities_from,
            identities_commit: self.identities_commit,
            relay: relay.map(PeerId::as_str),
        }
    }

    /// The numbers that a row has, none of them beyond what an engine can keep: so one more of anything is a number, too. The
    /// index of a store that has none begins with the next commit.
    pub(crate) fn from_row(row: &MetaRow<'_>, index: Option<IndexRow>, journal: JournalFormat) -> Result<Self> {
        let from = |least: u64, what: &str, number: u64| match number {
            number if (least..=MOST).contains(&number) => Ok(number),
            _ => Err(StoreError::Corrupted(format!("the ledger's {what} is {number}: expected {least} to 2^63 - 1"))),
        };
        Ok(Self {
            next_sequence: from(1, "next sequence", row.next_sequence)?,
            next_commit: from(1, "next commit", row.next_commit)?,
            next_peer: from(1, "next peer number", row.next_peer)?,
            dead_letters: from(0, "count of dead letters", row.dead_letters)?,
            journal_bytes: from(0, "count of the journal's bytes", row.journal_bytes)?,
            identities_from: from(0, "first remembered sequence", row.identities_from)?,
            identities_commit: from(0, "first remembered commit", row.identities_commit)?,
            index: match index {
                Some(index) => checked_index(index, row.next_commit)?,
                None => IndexRow {
                    from: row.next_commit,
                    to: row.next_commit,
                    first_run: 0,
                    next_run: 0,
                    whole_from: row.next_sequence,
                },
            },
            journal,
        })
    }
}

/// An index of commits that there were. Each run has one at least, and its number fits a key.
fn checked_index(index: IndexRow, next_commit: u64) -> Result<IndexRow> {
    let IndexRow { from, to, first_run, next_run, whole_from } = index;
    let are_commits = 0 < from && from <= to && to <= next_commit;
    let are_runs = first_run <= next_run && next_run <= MOST_RUNS && next_run - first_run <= to - from;
    if are_commits && are_runs && whole_from <= MOST {
        return Ok(index);
    }
    let runs = format!("runs {first_run} to {next_run} of the commits {from} to {to}");
    Err(StoreError::Corrupted(format!("the journal's index has {runs}, and {next_commit} is the next commit")))
}

/// What a purge wants to know of the first row of the journal without reading it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OldestRow {
    pub(crate) commit: u64,
    pub(crate) latest: u64,
    pub(crate) last_recorded: Option<u64>,
}
