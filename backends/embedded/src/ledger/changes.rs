//! What a transaction changes in the ledger, once the engine has its writes.

use std::collections::BTreeSet;

use slipstream_store::PeerId;

use crate::ledger::blocks::{MessageBlock, OwedBlock, SeenBlock};
use crate::ledger::counters::{Counters, OldestRow};
use crate::ledger::identities::NewIdentity;
use crate::ledger::peers::PeerState;

/// What a transaction changes in a ledger.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) counters: Counters,
    /// Whether the engine was given anything.
    pub(crate) is_written: bool,
    pub(crate) relay: Option<PeerId>,
    pub(crate) peers: Vec<(PeerId, Option<PeerState>)>,
    pub(crate) identities: Vec<NewIdentity>,
    pub(crate) forgotten_identities: u64,
    pub(crate) owed: Vec<OwedChange>,
    pub(crate) seen: Vec<((u128, u64), Option<SeenBlock>)>,
    pub(crate) blocks: Vec<(u64, Option<MessageBlock>)>,
    pub(crate) dirty: BTreeSet<u64>,
    pub(crate) clean: BTreeSet<u64>,
    pub(crate) oldest_row: Option<OldestRow>,
    /// What the row of the journal is found by, if there is one.
    pub(crate) indexed: Option<Indexed>,
}

/// A row of the journal, for the index.
#[derive(Debug)]
pub(crate) struct Indexed {
    pub(crate) commit: u64,
    pub(crate) hashes: Vec<u32>,
    /// How many entries are written of the run that is being written.
    pub(crate) written: Option<usize>,
}

#[derive(Debug)]
pub(crate) struct OwedChange {
    pub(crate) peer: PeerId,
    pub(crate) number: u64,
    pub(crate) block: u64,
    pub(crate) before: u64,
    pub(crate) now: OwedBlock,
}
