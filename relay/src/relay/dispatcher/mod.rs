//! The last stage before the links: hands each committed delivery to its peer's lane, and collects what the lanes
//! decided for the next commit.
//!
//! The dispatcher alone reads pending deliveries from the store. It knows nothing of the stages before it: the
//! committer calls [`Dispatcher::forward`], and picks up the decisions when [`Dispatcher::decided`] says so.
//!
//! | file | subject |
//! | --- | --- |
//! | `lane` | what is on its way to one peer, with its lock and its wake-ups |
//! | `pager` | reads for a lane from the store |
//! | `send_state`, `link_state` | the pure state of a lane: what outlives its links, and what is on its way over one |
//! | `sending`, `reading`, `answers` | what goes out, what pages bring, and what the peer's answers do |
//! | `in_flight` | what is sent and not settled |
//! | `poison`, `isolation` | what is held back from a peer that may die of it: which delivery, and on one link |
//! | `late` | acknowledgements of dead letters |
//! | `redelivery` | when something is sent again |
//! | `coalesce` | what is superseded in a backlog |
//! | `decided` | what is to be committed |
//! | `forward`, `terms`, `environment` | a message on its way; what lanes keep to; what they share |

mod answers;
mod coalesce;
mod decided;
mod environment;
mod forward;
mod in_flight;
mod isolation;
mod lane;
mod late;
mod link_state;
mod pager;
mod poison;
mod reading;
mod redelivery;
#[cfg(test)]
mod samples;
mod send_state;
mod sending;
mod terms;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use parking_lot::RwLock;
use slipstream_store::{
    DeadLetterReason, MessageStore, Operation, Owed, PageLimit, PeerId, RememberedPeer, Roster, Sequence, Timestamp,
};

pub(crate) use environment::CommitNumber;
pub(crate) use forward::{Forward, Metadata};
pub(crate) use lane::{Generation, Lane, LaneCounts, Wake};
pub(crate) use terms::{LaneLimits, LinkEnd, LinkTerms};

use self::environment::Environment;
use crate::clock::Clock;

/// All lanes.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    lanes: RwLock<HashMap<PeerId, Arc<Lane>>>,
    environment: Arc<Environment>,
}

impl Dispatcher {
    pub(crate) fn new(limits: LaneLimits, clock: Arc<dyn Clock>) -> Self {
        Self { lanes: RwLock::default(), environment: Arc::new(Environment::new(limits, clock)) }
    }

    /// The lane of a peer, made where there is none.
    pub(crate) fn open_lane(&self, peer: &PeerId) -> Arc<Lane> {
        let mut lanes = self.lanes.write();
        let lane = lanes
            .entry(peer.clone())
            .or_insert_with(|| Arc::new(Lane::new(peer.clone(), Arc::clone(&self.environment))));
        Arc::clone(lane)
    }

    /// Opens the lanes of the peers that a store remembers.
    pub(crate) fn open_lanes(&self, roster: &Roster) {
        self.renew(roster);
        self.recount(roster);
    }

    /// Goes by a roster that other processes have changed.
    pub(crate) fn renew(&self, roster: &Roster) {
        for RememberedPeer { peer, .. } in &roster.peers {
            self.open_lane(&peer.id).pause(peer.paused);
        }
    }

    /// Takes over what is counted in a roster: how much each peer is owed, and what the oldest is.
    pub(crate) fn recount(&self, roster: &Roster) {
        let lanes = self.lanes.read();
        for RememberedPeer { peer, backlog, oldest } in &roster.peers {
            if let Some(lane) = lanes.get(&peer.id) {
                lane.recount(*backlog, *oldest);
            }
        }
    }

    /// Something may be owed to these peers that was never handed over, because another process has recorded it or a commit
    /// was unclear: their lanes read from the store before they take anything newer.
    pub(crate) fn read_on(&self, owed: &Owed) {
        let lanes = self.lanes.read();
        match owed {
            Owed::Peers(peers) => {
                peers.iter().filter_map(|peer| lanes.get(peer)).for_each(|lane| lane.read_on());
            }
            Owed::Anyone => lanes.values().for_each(|lane| lane.read_on()),
        }
    }

    /// Removes the lane of a forgotten peer.
    pub(crate) fn close_lane(&self, peer: &PeerId) {
        self.lanes.write().remove(peer);
    }

    pub(crate) fn lane(&self, peer: &PeerId) -> Option<Arc<Lane>> {
        self.lanes.read().get(peer).cloned()
    }

    /// A commit begins, whose messages are [handed on](Self::forward) under this number.
    pub(crate) fn begin_commit(&self) -> CommitNumber {
        self.environment.begin_commit()
    }

    /// Hands the messages of a commit, in commit order, to the lanes of their recipients.
    pub(crate) fn forward(&self, commit: CommitNumber, recipients: &[PeerId], forwards: &[Arc<Forward>]) {
        let lanes = self.lanes.read();
        for lane in recipients.iter().filter_map(|peer| lanes.get(peer)) {
            lane.offer(commit, forwards);
        }
    }

    /// The first of these peers that would be owed more than `most` with one more delivery. `reserved` tells how many are
    /// on their way into the store for a peer.
    pub(crate) fn full<'r>(
        &self,
        recipients: &'r [PeerId],
        most: u64,
        reserved: impl Fn(&PeerId) -> u64,
    ) -> Option<&'r PeerId> {
        let lanes = self.lanes.read();
        recipients.iter().find(|peer| lanes.get(*peer).is_some_and(|lane| lane.backlog() + reserved(peer) >= most))
    }

    /// The lanes of peers that are owed more than this.
    pub(crate) fn lanes_over(&self, most: u64) -> Vec<Arc<Lane>> {
        let mut lanes: Vec<_> = self.lanes.read().values().filter(|lane| lane.backlog() > most).cloned().collect();
        lanes.sort_by(|one, other| one.peer().cmp(other.peer()));
        lanes
    }

    /// Gives up the oldest deliveries that a peer is owed; false where the store shows none that was not given up before.
    pub(crate) async fn give_up_oldest<S: MessageStore + ?Sized>(
        &self,
        lane: &Arc<Lane>,
        store: &S,
        limit: PageLimit,
        reason: &DeadLetterReason,
    ) -> slipstream_store::Result<bool> {
        let oldest = store.pending(lane.peer(), None, limit).await?.items;
        Ok(lane.give_up(&oldest, reason))
    }

    /// The oldest delivery that a peer is owed, if it is owed any, and when its message was received.
    pub(crate) async fn oldest<S: MessageStore + ?Sized>(
        &self,
        lane: &Lane,
        store: &S,
    ) -> slipstream_store::Result<Option<(Sequence, Timestamp)>> {
        let one = PageLimit::items(NonZeroU32::MIN);
        let page = store.pending(lane.peer(), None, one).await?;
        let oldest = page.items.first().map(|pending| (pending.sequence, pending.received_at));
        lane.is_owed_from(oldest.map(|(sequence, _)| sequence));
        Ok(oldest)
    }

    /// A dead letter of a peer is owed again. A peer with a link gets it at once.
    pub(crate) fn redriven(&self, peer: &PeerId) {
        if let Some(lane) = self.lane(peer) {
            lane.redriven();
        }
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

    /// Waits until a lane has decided something.
    pub(crate) async fn decided(&self) {
        self.environment.decisions.made().await;
    }

    /// Takes the decisions of the lanes in turn, until there are `limit` operations or no more decisions.
    pub(crate) fn take_decided(&self, operations: &mut Vec<Operation>, limit: usize) {
        let decisions = &self.environment.decisions;
        while operations.len() < limit {
            let Some(peer) = decisions.take() else { return };
            if let Some(lane) = self.lane(&peer) {
                lane.take_decided(operations, limit - operations.len());
            }
        }
        decisions.leave();
    }
}
