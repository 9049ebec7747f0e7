//! What the writer knows in memory of a store, as of the last commit.
//!
//! Everything here is also on the medium. Peers, the blocks of messages and the identities are here whole; of the
//! blocks of pending deliveries and of seen stamps only those in use, and others are read when they are wanted. A
//! transaction works on top of a ledger and changes nothing in it; its changes are applied by [`Ledger::apply`] once the
//! engine has its writes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use slipstream_store::{DeadLetterCounts, PeerId, Stats};

use crate::ledger::blocks::{MessageBlock, OwedBlock, SeenBlock};
use crate::ledger::changes::{Changes, Indexed, OwedChange};
use crate::ledger::counters::{Counters, OldestRow};
use crate::ledger::identities::Identities;
use crate::ledger::peers::PeerState;
use crate::ledger::stamps::StampAges;
use crate::ledger::tail::Tail;

/// Most blocks of pending deliveries, and most blocks of stamps, that are kept in memory between commits; about
/// 300 bytes each. One commit may use more.
pub(crate) const MOST_CACHED_BLOCKS: usize = 65_536;

/// Of how many commits at least a mark in the journal is kept, see [`Ledger::marks`].
const COMMITS_A_MARK: u64 = 64;

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// See [`Engine::PACK_BYTES`](crate::engine::Engine::PACK_BYTES).
    pub(crate) pack_bytes: usize,
    pub(crate) counters: Counters,
    pub(crate) relay: Option<PeerId>,
    pub(crate) peers: HashMap<PeerId, PeerState>,
    pub(crate) identities: Identities,
    /// Commit numbers and the first sequence that each recorded, so that an opening finds the journal row at which
    /// the remembered identities begin.
    pub(crate) marks: VecDeque<(u64, u64)>,
    /// By peer number and block.
    pub(crate) owed: HashMap<(u64, u64), OwedBlock>,
    /// By epoch and block.
    pub(crate) seen: HashMap<(u128, u64), SeenBlock>,
    pub(crate) stamp_ages: StampAges,
    pub(crate) blocks: BTreeMap<u64, MessageBlock>,
    /// The earliest expiry in a block, and the block.
    pub(crate) expiring: BTreeSet<(u64, u64)>,
    /// By block: how many peers are owed anything in it, if there are any.
    pub(crate) owing: HashMap<u64, u32>,
    /// The blocks in which deliveries were settled since a purge looked.
    pub(crate) dirty: BTreeSet<u64>,
    pub(crate) messages: u64,
    pub(crate) pending: u64,
    /// What the dead letters come to, if an earlier version wrote the store, which kept no counts by peer. The next write
    /// adds them.
    pub(crate) uncounted: Option<DeadLetterCounts>,
    /// What is known of the first row of the journal.
    pub(crate) oldest_row: Option<OldestRow>,
    /// The end of the index of the journal, which readers share.
    pub(crate) tail: SharedTail,
    /// Rows of a run that an earlier opening has not finished, by key.
    pub(crate) unfinished_run: Vec<Vec<u8>>,
}

/// What the writer changes and readers copy.
pub(crate) type SharedTail = Arc<Mutex<Tail>>;

impl Ledger {
    /// How much is in the store, which takes so many bytes on the medium.
    pub(crate) fn stats(&self, bytes: u64) -> Stats {
        let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        Stats {
            peers: count(self.peers.len()),
            messages: self.messages,
            pending: self.pending,
            dead_letters: self.counters.dead_letters,
            identities: count(self.identities.len()),
            bytes,
        }
    }

    /// The end of the index of the journal.
    pub(crate) fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies what a transaction changed.
    pub(crate) fn apply(&mut self, changes: Changes) {
        if let Some(first) = changes.identities.first() {
            self.mark(changes.counters.next_commit - 1, first.sequence);
        }
        for identity in changes.identities {
            self.identities.push(identity);
        }
        for _ in 0..changes.forgotten_identities {
            self.identities.forget_first();
        }
        if changes.is_written {
            self.uncounted = None;
        }
        self.apply_indexed(changes.indexed);
        self.counters = changes.counters;
        self.relay = changes.relay;
        for (id, state) in changes.peers {
            match state {
                Some(state) => self.peers.insert(id, state),
                None => self.peers.remove(&id),
            };
        }
        self.apply_owed(changes.owed);
        self.apply_seen(changes.seen);
        for (number, block) in changes.blocks {
            self.replace_block(number, block);
        }
        self.dirty.extend(changes.dirty);
        self.dirty.retain(|block| !changes.clean.contains(block));
        self.oldest_row = changes.oldest_row;
    }

    fn apply_indexed(&mut self, indexed: Option<Indexed>) {
        let Some(Indexed { commit, hashes, written }) = indexed else { return };
        if written.is_some() {
            self.unfinished_run = Vec::new();
        }
        let mut tail = self.tail();
        if let Some(written) = written {
            tail.wrote(written);
        }
        tail.push(commit, &hashes);
    }

    fn apply_owed(&mut self, owed: Vec<OwedChange>) {
        if self.owed.len() + owed.len() > MOST_CACHED_BLOCKS {
            // All of them are on the medium; those of this commit, which are the likeliest next ones, come below.
            self.owed.clear();
        }
        for change in owed {
            let count = change.now.bits.count();
            self.pending = self.pending + count - change.before;
            self.count_owing(change.block, change.before > 0, count > 0);
            // Another number under this id: the peer was forgotten, and nobody asks for these blocks again.
            if let Some(state) = self.peers.get_mut(&change.peer).filter(|state| state.number == change.number) {
                state.backlog = state.backlog + count - change.before;
                self.owed.insert((change.number, change.block), change.now);
            } else {
                self.owed.remove(&(change.number, change.block));
            }
        }
    }

    /// Notes that a peer was owed something in this block or not, and is now.
    pub(crate) fn count_owing(&mut self, block: u64, before: bool, now: bool) {
        if before == now {
            return;
        }
        let owing = self.owing.entry(block).or_default();
        *owing = if now { *owing + 1 } else { owing.saturating_sub(1) };
        if *owing == 0 {
            self.owing.remove(&block);
        }
    }

    fn apply_seen(&mut self, seen: Vec<((u128, u64), Option<SeenBlock>)>) {
        if self.seen.len() + seen.len() > MOST_CACHED_BLOCKS {
            self.seen.clear();
        }
        for (key, block) in seen {
            match block {
                Some(block) => {
                    self.stamp_ages.touched(block.latest);
                    self.seen.insert(key, block);
                }
                None => {
                    self.seen.remove(&key);
                }
            }
        }
    }

    /// Puts a block of messages in the place of the one that is there.
    pub(crate) fn replace_block(&mut self, number: u64, block: Option<MessageBlock>) {
        let before = match block {
            Some(block) => self.blocks.insert(number, block),
            None => self.blocks.remove(&number),
        };
        if let Some(before) = before {
            self.messages -= before.stored.count();
            before.earliest_expiry.map(|expiry| self.expiring.remove(&(expiry, number)));
        }
        if let Some(block) = block {
            self.messages += block.stored.count();
            block.earliest_expiry.map(|expiry| self.expiring.insert((expiry, number)));
        }
    }

    /// Notes that this commit recorded identities from this sequence on.
    pub(crate) fn mark(&mut self, commit: u64, sequence: u64) {
        if self.marks.back().is_none_or(|&(last, _)| commit >= last + COMMITS_A_MARK) {
            self.marks.push_back((commit, sequence));
        }
    }

    /// Drops the marks that lie before the remembered identities, and returns the last of them.
    pub(crate) fn identities_commit(&self, identities_from: u64) -> u64 {
        let behind = self.marks.iter().take_while(|&&(_, sequence)| sequence <= identities_from);
        behind.last().map_or(self.counters.identities_commit, |&(commit, _)| commit)
    }

    /// Drops the marks that are not wanted any more.
    pub(crate) fn trim_marks(&mut self) {
        while self.marks.get(1).is_some_and(|&(commit, _)| commit <= self.counters.identities_commit) {
            self.marks.pop_front();
        }
    }
}
