//! What can be seen of a running relay from outside: for readiness and for the metrics page.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use slipstream_store::{
    ClusterGroup, DeadLetter, DeadLetterCount, DeadLetterCursor, DeadLetterFilter, DeliveryState, Guarantee, Identity,
    MessageStore, Page, PageLimit, Peer, PeerId, PeerKind, Result, Show, Stats, Timestamp,
};
use tokio::time::Instant;

use super::core::Core;
use super::observation::{Census, DialObservation, DialState, MessageObservation, Observation, PeerObservation};
use super::peers::Dial;
use super::sample::Sample;
use super::sampling;
use super::soon::{deadline, soon, within};
use super::tap::Watch;
use crate::dial::DialStatus;
use crate::metrics::Flow;

/// A view of a relay. Cloning is cheap.
#[derive(Debug)]
pub struct Observer<S: ?Sized> {
    core: Arc<Core<S>>,
}

impl<S: ?Sized> Clone for Observer<S> {
    fn clone(&self) -> Self {
        Self { core: Arc::clone(&self.core) }
    }
}

impl<S: MessageStore + ?Sized> Observer<S> {
    pub(super) fn new(core: Arc<Core<S>>) -> Self {
        Self { core }
    }

    /// The id of the relay.
    #[must_use]
    pub fn id(&self) -> &PeerId {
        &self.core.id
    }

    /// The guarantee in force.
    #[must_use]
    pub fn guarantee(&self) -> Guarantee {
        self.core.store.guarantee()
    }

    /// Whether the relay takes messages: it is not shutting down.
    #[must_use]
    pub fn is_taking(&self) -> bool {
        !self.core.links.closing.load(Ordering::Acquire)
    }

    /// Why the store does not commit, if it does not: it failed recently, is slow, or is unavailable.
    #[must_use]
    pub fn store_trouble(&self) -> Option<String> {
        self.core.health.trouble(&*self.core.clock)
    }

    /// Whether the relay waits for its store at this moment: for a commit, a purge or a look at the roster.
    #[must_use]
    pub fn waits_for_store(&self) -> bool {
        self.core.health.is_awaited()
    }

    /// What is wrong with the disk under the store, if anything is: it is low, or cannot be looked at.
    #[must_use]
    pub fn disk_trouble(&self) -> Option<String> {
        self.core.disk.trouble()
    }

    /// How many bytes are free where the store is, as of the last look, if that is known.
    #[must_use]
    pub fn disk_free(&self) -> Option<u64> {
        self.core.disk.free()
    }

    /// How the peers that the relay dials stand, in the order of the configuration.
    #[must_use]
    pub fn dials(&self) -> Vec<DialObservation> {
        let observe = |dial: &Arc<Dial>| {
            let peer = dial.peer();
            let DialStatus { dialling, failures, circuit_open, last_error } = dial.status.borrow().clone();
            let state = match self.core.links.linked(&peer) {
                Some(_) => DialState::Up,
                None if circuit_open => DialState::CircuitOpen,
                None if dialling => DialState::Dialing,
                None => DialState::Down,
            };
            let (alias, reconnects) = (dial.configured.alias.clone(), dial.reconnects());
            DialObservation { alias, peer, state, failures, reconnects, last_error }
        };
        self.core.dials.iter().map(observe).collect()
    }

    /// The dialled peers whose circuit is open, by the id that each has now.
    #[must_use]
    pub fn open_circuits(&self) -> Vec<String> {
        let open = self.dials().into_iter().filter(|dial| dial.state == DialState::CircuitOpen);
        open.map(|dial| dial.peer.to_string()).collect()
    }

    /// How many peers there are, and what they are owed together.
    #[must_use]
    pub fn census(&self) -> Census {
        let mut census = Census::default();
        for peer in self.core.topology.load().peers() {
            let Some(lane) = self.core.dispatcher.lane(&peer.id) else { continue };
            *(if lane.is_linked() { &mut census.up } else { &mut census.down }) += 1;
            census.paused += u64::from(peer.paused);
            census.backlog += lane.backlog();
        }
        census
    }

    /// What has flowed through the relay since it was opened.
    #[must_use]
    pub fn flow(&self) -> Flow {
        self.core.metrics.flow.totals()
    }

    /// Watches messages as they are recorded, from now on: at most a thousand a second, and none of those that pass while
    /// a thousand wait to be looked at.
    #[must_use]
    pub fn watch(&self) -> Watch {
        self.core.tap.watch()
    }

    /// Counts of the store.
    ///
    /// # Errors
    /// As [`MessageStore::stats`]; `Unavailable` if the store does not tell within five seconds.
    pub async fn stats(&self) -> Result<Stats> {
        soon(self.core.store.stats()).await
    }

    /// The remembered peers after this one, in the order of their ids. What the store does not tell within five seconds is
    /// an error in its place.
    pub async fn peers(&self, after: Option<&PeerId>, limit: NonZeroU32) -> Page<PeerObservation> {
        let topology = self.core.topology.load_full();
        let first = topology.peers().partition_point(|peer| Some(&peer.id) <= after);
        let rest = &topology.peers()[first..];
        let limit = usize::try_from(limit.get()).unwrap_or(usize::MAX);
        let items = self.observe_each(&rest[..limit.min(rest.len())], Some(deadline())).await;
        Page { items, more: rest.len() > limit }
    }

    /// The relays and then those of the other peers that are owed most, as many as that together, in the order of their ids.
    pub async fn largest_backlogs(&self, limit: NonZeroU32) -> Vec<PeerObservation> {
        let topology = self.core.topology.load_full();
        let owed = |peer: &PeerId| self.core.dispatcher.lane(peer).map_or(0, |lane| lane.backlog());
        let mut peers = topology.peers().to_vec();
        let limit = usize::try_from(limit.get()).unwrap_or(usize::MAX);
        if peers.len() > limit {
            peers.sort_by_cached_key(|peer| (peer.kind != PeerKind::Relay, Reverse(owed(&peer.id))));
            peers.truncate(limit);
            peers.sort_by(|one, other| one.id.cmp(&other.id));
        }
        self.observe_each(&peers, Some(deadline())).await
    }

    /// One peer, if it is remembered.
    pub async fn peer(&self, id: &PeerId) -> Option<PeerObservation> {
        let peer = self.core.topology.load().peer(id).cloned()?;
        self.observe_peer(&peer, Some(deadline())).await
    }

    /// The time by the relay's clock, which goes on where the machine's was set.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.core.clock.now()
    }

    /// The time of day, as the relay believes it to be.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        self.core.clock.wall()
    }

    /// By how many milliseconds the machine's time of day is ahead of the relay's time; negative if it is behind. It is, if
    /// the machine's clock was set, or it slept, since the relay began.
    #[must_use]
    pub fn clock_offset(&self) -> i64 {
        self.core.clock_offset()
    }

    /// The cluster groups that messages here may have: the relay's own, the one that is meant where none is named, and
    /// those of the peers.
    #[must_use]
    pub fn groups(&self) -> BTreeSet<ClusterGroup> {
        let topology = self.core.topology.load();
        let of_peers = topology.peers().iter().map(|peer| peer.group.clone());
        of_peers.chain([self.core.settings.cluster_group.clone(), ClusterGroup::default()]).collect()
    }

    /// Where a message stands, peer by peer, if anything is known of it.
    ///
    /// # Errors
    /// As [`MessageStore::deliveries`]; `Unavailable` if the store does not tell within five seconds.
    pub async fn message(&self, identity: &Identity) -> Result<Option<MessageObservation>> {
        let Some(trace) = soon(self.core.store.deliveries(identity)).await? else { return Ok(None) };
        let pending = trace.deliveries.iter().filter(|delivery| delivery.state == DeliveryState::Pending);
        let in_flight = pending.filter(|delivery| {
            self.core.dispatcher.lane(&delivery.peer).is_some_and(|lane| lane.has_in_flight(delivery.sequence))
        });
        let in_flight = in_flight.map(|delivery| delivery.peer.clone()).collect();
        Ok(Some(MessageObservation { trace, in_flight }))
    }

    /// Shows what this relay and a peer exchanged, and answers since when none of it is missing, be it for its age or for the
    /// size of traces. It reads all traces, and takes as long as that takes.
    ///
    /// # Errors
    /// As [`MessageStore::exchanged`].
    pub async fn exchanged(&self, peer: &PeerId, show: Show) -> Result<Timestamp> {
        let kept_since = self.core.clock.wall().minus(self.core.settings.trace_retention);
        Ok(self.core.store.exchanged(peer, show).await?.max(kept_since))
    }

    /// A page of dead letters.
    ///
    /// # Errors
    /// As [`MessageStore::dead_letters`]; `Unavailable` if the store does not tell within five seconds.
    pub async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        after: Option<DeadLetterCursor>,
        limit: PageLimit,
    ) -> Result<Page<DeadLetter>> {
        soon(self.core.store.dead_letters(filter, after, limit)).await
    }

    /// The peers whose links other processes have that share the store; nobody's if it is exclusive.
    ///
    /// # Errors
    /// As those of reading; `Unavailable` if the store does not tell within five seconds.
    pub async fn linked_elsewhere(&self) -> Result<BTreeSet<PeerId>> {
        let Some(shared) = self.core.store.shared() else { return Ok(BTreeSet::new()) };
        Ok(soon(shared.claimed_by_others()).await?.into_iter().collect())
    }

    /// How many dead letters there are, by peer and reason.
    ///
    /// # Errors
    /// As [`MessageStore::dead_letter_counts`]; `Unavailable` if the store does not tell within five seconds.
    pub async fn dead_letter_counts(&self) -> Result<Vec<DeadLetterCount>> {
        soon(self.core.store.dead_letter_counts()).await
    }

    /// Samples the relay for a metrics page. What the store does not tell within five seconds is left out, so that no
    /// page is held up by a disk that hangs.
    pub async fn sample(&self) -> Sample {
        sampling::sample(&self.core, self.dials()).await
    }

    /// Looks at the relay now. It waits for the store as long as that takes.
    pub async fn observe(&self) -> Observation {
        let topology = self.core.topology.load_full();
        Observation {
            peers: self.observe_each(topology.peers(), None).await,
            dials: self.dials(),
            guarantee: self.guarantee(),
            taking: self.is_taking(),
            store: self.core.store.stats().await,
        }
    }

    async fn observe_each(&self, peers: &[Arc<Peer>], deadline: Option<Instant>) -> Vec<PeerObservation> {
        let mut observed = Vec::new();
        for peer in peers {
            observed.extend(self.observe_peer(peer, deadline).await);
        }
        observed
    }

    async fn observe_peer(&self, peer: &Arc<Peer>, deadline: Option<Instant>) -> Option<PeerObservation> {
        let lane = self.core.dispatcher.lane(&peer.id)?;
        let backlog = lane.backlog();
        let oldest = match backlog {
            0 => Ok(None),
            _ => within(deadline, self.core.dispatcher.oldest(&lane, &*self.core.store)).await,
        };
        let oldest = oldest.map(|oldest| oldest.map(|(_, received)| received));
        Some(PeerObservation {
            peer: Arc::clone(peer),
            configured: self.core.is_configured(&peer.id),
            linked_from: self.core.links.linked_from(&peer.id),
            backlog,
            in_flight: lane.in_flight(),
            in_flight_bytes: lane.in_flight_bytes(),
            queued_bytes: lane.queued_bytes(),
            oldest,
            republishes: lane.republishes(),
            received: self.core.inflows.messages(&peer.id),
            delivered: lane.delivered(),
        })
    }
}

#[cfg(test)]
mod tests {
    use slipstream_conformance::fixture::{plain, recorded, remember_all};
    use slipstream_conformance::{Call, FaultStore, ModelStore};
    use slipstream_store::StoreError;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::clock::SystemClock;
    use crate::link::TcpConnector;
    use crate::listen::AllowAll;
    use crate::relay::soon::STORE_TIMEOUT;
    use crate::relay::{Relay, Settings};

    #[tokio::test(start_paused = true)]
    async fn a_store_that_hangs_holds_no_sample_up() {
        let (store, faults) = FaultStore::new(ModelStore::in_memory());
        remember_all(&store, &["away"]).await;
        recorded(&store, plain("m1", &["away"])).await;
        let clock = Arc::new(SystemClock::new());
        let relay = Relay::open(Arc::new(store), Settings::default(), clock).await.unwrap();
        let look = async || {
            let Sample { peers, store, .. } = relay.observer().sample().await;
            assert_eq!((peers[0].label.as_str(), peers[0].backlog), ("away", 1));
            (peers[0].oldest.as_ref().is_ok_and(Option::is_some), store.is_ok())
        };
        assert_eq!(look().await, (true, true));
        let hanging = faults.hold(Call::Pending);
        assert_eq!(look().await, (false, true), "what the store tells at once is taken all the same");
        drop(hanging);
        let hanging = faults.hold(Call::Stats);
        assert_eq!(look().await, (true, false));
        drop(hanging);
        assert_eq!(look().await, (true, true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_relay_that_waits_for_its_store_says_so_and_answers_afterwards() {
        let (store, faults) = FaultStore::new(ModelStore::in_memory());
        let relay = Relay::open(Arc::new(store), Settings::default(), Arc::new(SystemClock::new())).await.unwrap();
        let (observer, operator) = (relay.observer(), relay.operator());
        let shutdown = CancellationToken::new();
        // The first purge follows at once.
        let hanging = faults.hold(Call::Purge);
        let running = tokio::spawn(relay.run(None, Arc::new(AllowAll), Arc::new(TcpConnector), shutdown.clone()));
        while !observer.waits_for_store() {
            tokio::task::yield_now().await;
        }
        let mut answers = std::pin::pin!(operator.answers());
        assert!(tokio::time::timeout(STORE_TIMEOUT, &mut answers).await.is_err());
        drop(hanging);
        answers.await.unwrap();
        assert!(!observer.waits_for_store());
        shutdown.cancel();
        running.await.unwrap().unwrap();
        assert!(matches!(operator.answers().await, Err(StoreError::Closed)));
    }
}
