//! The last stage before the links: hands each committed delivery to its peer's lane, and collects what the lanes
//! decided for the next commit.
//!
//! The dispatcher alone reads pending deliveries from the store. It knows nothing of the stages before it: the
//! committer calls [`Dispatcher::forward`], and picks up the decisions when [`Dispatcher::decided`] says so.
//!
//! | file | subject |
//! | --- | --- |
//! | `peer_lane` | a lane with its lock, its wake-ups and its reading of the store |
//! | `lane` | what is on its way to one peer, with or without a link |
//! | `transit`, `answers` | what goes out on one link, and what the peer's answers do |
//! | `window` | what is in flight |
//! | `poison`, `isolation` | what is held back from a peer that may die of it: which delivery, and on one link |
//! | `late` | acknowledgements of dead letters |
//! | `schedule` | when something is sent again |
//! | `coalesce` | what is superseded in a backlog |
//! | `decided` | what is to be committed |

mod answers;
mod coalesce;
mod decided;
mod isolation;
mod lane;
mod late;
mod peer_lane;
mod poison;
mod schedule;
mod transit;
mod window;

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};
use slipstream_store::{MessageStore, Operation, PageLimit, PeerId, Roster, Sequence, Timestamp};
use tokio::sync::Notify;

pub(crate) use lane::{Forward, LaneLimits, LinkEnd, LinkTerms, Metadata};
pub(crate) use peer_lane::{PeerLane, Wake};

use crate::clock::Clock;

/// All lanes.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    lanes: RwLock<HashMap<PeerId, Arc<PeerLane>>>,
    shared: Arc<Shared>,
}

/// What all lanes share.
#[derive(Debug)]
struct Shared {
    decisions: Decisions,
    /// Bytes that wait in memory to be sent, summed over the lanes. What several lanes hold counts several times.
    queued_bytes: AtomicUsize,
    limits: LaneLimits,
    /// Most messages a second that one peer may send.
    rate_limit: Option<NonZeroU32>,
    clock: Arc<dyn Clock>,
}

impl Shared {
    /// What a lane may hold now. Where all lanes together hold too much, each keeps only what it sends next, and
    /// the rest stays on disk: everyone gets on, and memory stays bounded.
    fn limits(&self) -> LaneLimits {
        if self.queued_bytes.load(Ordering::Relaxed) < self.limits.total_bytes {
            self.limits
        } else {
            LaneLimits { queue_items: 1, ..self.limits }
        }
    }
}

/// The lanes that decided something which is not committed yet, each once.
#[derive(Debug, Default)]
struct Decisions {
    lanes: Mutex<VecDeque<Arc<PeerLane>>>,
    made: Notify,
}

impl Dispatcher {
    pub(crate) fn new(limits: LaneLimits, rate_limit: Option<NonZeroU32>, clock: Arc<dyn Clock>) -> Self {
        let (decisions, queued_bytes) = (Decisions::default(), AtomicUsize::new(0));
        let shared = Shared { decisions, queued_bytes, limits, rate_limit, clock };
        Self { lanes: RwLock::default(), shared: Arc::new(shared) }
    }

    /// The lane of a peer, made where there is none.
    pub(crate) fn open_lane(&self, peer: &PeerId, backlog: u64) -> Arc<PeerLane> {
        let mut lanes = self.lanes.write();
        let lane = lanes
            .entry(peer.clone())
            .or_insert_with(|| Arc::new(PeerLane::new(peer.clone(), backlog, Arc::clone(&self.shared))));
        Arc::clone(lane)
    }

    /// Removes the lane of a forgotten peer.
    pub(crate) fn close_lane(&self, peer: &PeerId) {
        self.lanes.write().remove(peer);
    }

    pub(crate) fn lane(&self, peer: &PeerId) -> Option<Arc<PeerLane>> {
        self.lanes.read().get(peer).cloned()
    }

    /// Hands committed messages, in commit order, to the lanes of their recipients.
    pub(crate) fn forward(&self, recipients: &[PeerId], forwards: &[Arc<Forward>]) {
        let lanes = self.lanes.read();
        for lane in recipients.iter().filter_map(|peer| lanes.get(peer)) {
            lane.offer(forwards);
        }
    }

    /// Admits a message on its way into the store at all of its recipients, or answers the one that is owed `most`
    /// already. What is admitted is to be [`released`](Self::released).
    pub(crate) fn admit<'r>(&self, recipients: &'r [PeerId], most: u64) -> Result<(), &'r PeerId> {
        let lanes = self.lanes.read();
        for (index, peer) in recipients.iter().enumerate() {
            if lanes.get(peer).is_some_and(|lane| !lane.admit(most)) {
                recipients[..index].iter().filter_map(|peer| lanes.get(peer)).for_each(|lane| lane.released());
                return Err(peer);
            }
        }
        Ok(())
    }

    /// A message that was admitted is in the store now, or was refused.
    pub(crate) fn released(&self, recipients: &[PeerId]) {
        let lanes = self.lanes.read();
        recipients.iter().filter_map(|peer| lanes.get(peer)).for_each(|lane| lane.released());
    }

    /// The lanes of peers that are owed more than this.
    pub(crate) fn lanes_over(&self, most: u64) -> Vec<Arc<PeerLane>> {
        let mut lanes: Vec<_> = self.lanes.read().values().filter(|lane| lane.backlog() > most).cloned().collect();
        lanes.sort_by(|one, other| one.peer().cmp(other.peer()));
        lanes
    }

    /// Gives up the oldest deliveries that a peer is owed; false where the store shows none that was not given up before.
    pub(crate) async fn give_up_oldest<S: MessageStore + ?Sized>(
        &self,
        lane: &Arc<PeerLane>,
        store: &S,
        limit: PageLimit,
        reason: &str,
    ) -> slipstream_store::Result<bool> {
        let oldest = store.pending(lane.peer(), None, limit).await?.items;
        Ok(lane.give_up(&oldest, reason))
    }

    /// When the oldest message that a peer is owed was received, if it is owed any.
    pub(crate) async fn oldest<S: MessageStore + ?Sized>(
        &self,
        lane: &PeerLane,
        store: &S,
    ) -> slipstream_store::Result<Option<Timestamp>> {
        let one = PageLimit::items(NonZeroU32::MIN);
        Ok(store.pending(lane.peer(), None, one).await?.items.first().map(|pending| pending.received_at))
    }

    /// Tells a lane that the commit of that many of its decisions has ended; that many settled a delivery.
    pub(crate) fn committed(&self, peer: &PeerId, decisions: usize, settled: u64) {
        if let Some(lane) = self.lanes.read().get(peer) {
            lane.committed(decisions, settled);
        }
    }

    /// Tells the lanes of these deliveries that they were settled elsewhere.
    pub(crate) fn settled_elsewhere(&self, deliveries: &[(PeerId, Sequence)]) {
        let lanes = self.lanes.read();
        for (peer, sequence) in deliveries {
            if let Some(lane) = lanes.get(peer) {
                lane.settled_elsewhere(*sequence);
            }
        }
    }

    /// Has every lane read on from the store, because something may have been committed that was never handed over.
    /// The roster tells how much is owed.
    pub(crate) fn resync(&self, roster: &Roster) {
        let lanes = self.lanes.read();
        for remembered in &roster.peers {
            if let Some(lane) = lanes.get(&remembered.peer.id) {
                lane.resync(remembered.backlog);
            }
        }
    }

    /// Waits until a lane has decided something.
    pub(crate) async fn decided(&self) {
        self.shared.decisions.made.notified().await;
    }

    /// Takes the decisions of the lanes in turn, until there are `limit` operations or no more decisions.
    pub(crate) fn take_decided(&self, operations: &mut Vec<Operation>, limit: usize) {
        while operations.len() < limit {
            let Some(lane) = self.shared.decisions.lanes.lock().pop_front() else {
                return;
            };
            let room = limit - operations.len();
            lane.take_decided(operations, room);
        }
        self.shared.decisions.made.notify_one();
    }
}
