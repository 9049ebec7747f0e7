//! What lanes have around them: the memory that they share, and the list of those that have decided something.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use slipstream_store::PeerId;
use tokio::sync::Notify;

use super::terms::LaneLimits;
use crate::clock::Clock;

/// Which of the commits that began since the start of the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CommitNumber(u64);

/// What every lane has around it.
#[derive(Debug)]
pub(super) struct Environment {
    pub(super) decisions: Decisions,
    /// Bytes that wait in memory to be sent, summed over the lanes. What several lanes hold counts several times.
    queued_bytes: AtomicUsize,
    /// How many commits have begun.
    commits: AtomicU64,
    limits: LaneLimits,
    pub(super) clock: Arc<dyn Clock>,
}

impl Environment {
    pub(super) fn new(limits: LaneLimits, clock: Arc<dyn Clock>) -> Self {
        Self {
            decisions: Decisions::default(),
            queued_bytes: AtomicUsize::new(0),
            commits: AtomicU64::new(0),
            limits,
            clock,
        }
    }

    /// A commit begins.
    pub(super) fn begin_commit(&self) -> CommitNumber {
        CommitNumber(self.commits.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// The commit that began last.
    pub(super) fn last_commit(&self) -> CommitNumber {
        CommitNumber(self.commits.load(Ordering::SeqCst))
    }

    /// What a lane may hold now. If all lanes together hold too much, each keeps only what it sends next, and the rest
    /// stays on disk: everyone gets on, and memory stays bounded.
    pub(super) fn limits(&self) -> LaneLimits {
        if self.queued_bytes.load(Ordering::Relaxed) < self.limits.total_bytes {
            self.limits
        } else {
            LaneLimits { queue_items: 1, ..self.limits }
        }
    }

    /// Counts a lane that held `before` bytes and holds `now`.
    pub(super) fn count_queued(&self, before: usize, now: usize) {
        if now >= before {
            self.queued_bytes.fetch_add(now - before, Ordering::Relaxed);
        } else {
            self.queued_bytes.fetch_sub(before - now, Ordering::Relaxed);
        }
    }
}

/// The peers whose lanes have decided something that is not committed yet, each once.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    peers: Mutex<VecDeque<PeerId>>,
    made: Notify,
}

impl Decisions {
    /// Lists the lane of a peer. Each lane knows whether it is listed.
    pub(super) fn list(&self, peer: &PeerId) {
        self.peers.lock().push_back(peer.clone());
        self.made.notify_one();
    }

    /// The next of them.
    pub(super) fn take(&self) -> Option<PeerId> {
        self.peers.lock().pop_front()
    }

    /// Waits until a lane has decided something, or some were left.
    pub(super) async fn made(&self) {
        self.made.notified().await;
    }

    /// Some lanes are left on the list.
    pub(super) fn leave(&self) {
        self.made.notify_one();
    }
}
