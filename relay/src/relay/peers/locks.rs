//! Locks that have the changes to one peer follow each other.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use slipstream_store::PeerId;
use tokio::sync::{Mutex, MutexGuard};

/// Has the changes to what is remembered of one peer follow each other. Peers share a lock by chance, which costs
/// them a commit's time at most.
#[derive(Debug)]
pub(in crate::relay) struct PeerLocks {
    locks: [Mutex<()>; Self::COUNT],
    seed: u64,
}

impl PeerLocks {
    const COUNT: usize = 64;

    /// `seed` decides by chance which peers share a lock.
    pub(in crate::relay) fn new(seed: u64) -> Self {
        Self { locks: std::array::from_fn(|_| Mutex::default()), seed }
    }

    pub(in crate::relay) async fn lock(&self, peer: &PeerId) -> MutexGuard<'_, ()> {
        self.locks[self.index(peer)].lock().await
    }

    /// Locks two peers, or one that is given twice.
    pub(in crate::relay) async fn lock_both(&self, one: &PeerId, other: &PeerId) -> [Option<MutexGuard<'_, ()>>; 2] {
        let (one, other) = (self.index(one), self.index(other));
        // Always in the same order, so that nobody waits for each other.
        let first = self.locks[one.min(other)].lock().await;
        let second = if one == other { None } else { Some(self.locks[one.max(other)].lock().await) };
        [Some(first), second]
    }

    fn index(&self, peer: &PeerId) -> usize {
        let mut hasher = DefaultHasher::new();
        (self.seed, peer).hash(&mut hasher);
        #[expect(clippy::cast_possible_truncation, reason = "any bits of the hash will do")]
        let bits = hasher.finish() as usize;
        bits % Self::COUNT
    }
}
