//! The numbers that a ledger keeps for the whole store.

use slipstream_store::PeerId;

use crate::rows::codec::MetaRow;

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

    pub(crate) fn from_row(row: &MetaRow<'_>) -> Self {
        Self {
            next_sequence: row.next_sequence,
            next_commit: row.next_commit,
            next_peer: row.next_peer,
            dead_letters: row.dead_letters,
            journal_bytes: row.journal_bytes,
            identities_from: row.identities_from,
            identities_commit: row.identities_commit,
        }
    }
}

/// What a purge wants to know of the first row of the journal without reading it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OldestRow {
    pub(crate) commit: u64,
    pub(crate) latest: u64,
    pub(crate) last_recorded: Option<u64>,
}
