//! What the tasks of one relay have in common: its settings, its stages and what is known of its peers. Nothing here
//! runs.

use std::sync::Arc;

use slipstream_store::{MessageStore, Peer, PeerId, Result, Roster, Timestamp};
use tokio::sync::Notify;

use super::committer::StoreHealth;
use super::disk::Disk;
use super::dispatcher::Dispatcher;
use super::links::{Inflows, Links};
use super::members::Standing;
use super::notices::Notices;
use super::peers::{Dials, PeerLocks, SharedTopology, Subscribers, renew};
use super::series::PeerSeries;
use super::settings::Settings;
use super::stamps::Stamps;
use super::tap::Tap;
use crate::clock::Clock;
use crate::metrics::Metrics;

/// What every link needs of the relay.
#[derive(Debug)]
pub(super) struct Core<S: ?Sized> {
    pub(super) id: PeerId,
    pub(super) store: Arc<S>,
    pub(super) settings: Settings,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) topology: Arc<SharedTopology>,
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) stamps: Arc<Stamps>,
    pub(super) dials: Dials,
    pub(super) subscribers: Subscribers,
    pub(super) links: Links,
    pub(super) inflows: Inflows,
    pub(super) health: Arc<StoreHealth>,
    pub(super) changing: PeerLocks,
    pub(super) disk: Arc<Disk>,
    /// Told where a peer may be owed more than the backlog limit.
    pub(super) overfull: Arc<Notify>,
    pub(super) notices: Arc<Notices>,
    pub(super) tap: Arc<Tap>,
    pub(super) series: PeerSeries,
    /// How this process stands with those that it shares the store with.
    pub(super) standing: Standing,
}

impl<S: MessageStore + ?Sized> Core<S> {
    /// Takes in the peers as other processes that share the store have made them.
    ///
    /// # Errors
    /// As [`MessageStore::roster`]; nothing was changed then.
    pub(super) async fn renew(&self) -> Result<Roster> {
        renew(&*self.store, &self.topology, &self.dispatcher).await
    }
}

impl<S: ?Sized> Core<S> {
    /// What is remembered of a peer, if anything is.
    pub(super) fn known(&self, peer: &PeerId) -> Option<Peer> {
        self.topology.load().peer(peer).map(|peer| Peer::clone(peer))
    }

    /// By how many milliseconds the machine's time of day is ahead of the relay's time; negative if it is behind.
    pub(super) fn clock_offset(&self) -> i64 {
        let millis = |time: Timestamp| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        millis(self.clock.wall()).saturating_sub(millis(self.clock.now()))
    }

    /// Whether messages are held for this peer for as long as it is configured.
    pub(super) fn is_configured(&self, peer: &PeerId) -> bool {
        self.dials.of(peer).is_some() || self.subscribers.of(peer).is_some()
    }

    /// Whether this peer gets, after being away, only the newest value of each key.
    pub(super) fn coalesces(&self, peer: &PeerId) -> bool {
        let dialled = self.dials.of(peer).is_some_and(|dial| dial.configured.coalesce);
        dialled || self.subscribers.of(peer).is_some_and(|subscriber| subscriber.coalesce)
    }
}
