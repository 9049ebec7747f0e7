//! The members of a shared store, and what is theirs.

use std::collections::{BTreeMap, BTreeSet};

use slipstream_store::{MemberId, PeerId, RosterVersion};

/// The members of a shared store, and what is theirs.
#[derive(Debug, Clone, Default)]
pub(super) struct Members {
    pub(super) given: u64,
    /// Of an exclusive store it stays as it is.
    pub(super) roster: RosterVersion,
    pub(super) members: BTreeMap<MemberId, Known>,
    pub(super) claims: BTreeMap<PeerId, MemberId>,
    pub(super) duties: BTreeMap<String, MemberId>,
}

/// What a member has done, and has not been told yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    pub(super) beats: u64,
    /// The roster that it was told of last.
    pub(super) roster: RosterVersion,
    pub(super) owed: BTreeSet<PeerId>,
    pub(super) lost: BTreeSet<PeerId>,
    /// Whom others made owed something since this one recorded last.
    pub(super) since_recorded: BTreeSet<PeerId>,
    /// Whom they had made owed something when this one recorded last.
    pub(super) interleaved: BTreeSet<PeerId>,
}
