//! What can be seen of a running relay from outside: for the metrics page, readiness and status.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use slipstream_store::{Guarantee, MessageStore, PeerId, PeerKind, Result, Stats, StoreError};

use super::dialling::Dial;
use super::supervisor::Core;
use crate::dial::DialStatus;
use crate::metrics;

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

/// A relay at one moment.
#[derive(Debug, Clone)]
pub struct Observation {
    /// The guarantee in force.
    pub guarantee: Guarantee,
    /// Whether the relay takes messages: it is not shutting down.
    pub taking: bool,
    /// Counts of the store, or why they cannot be had.
    pub store: Result<Stats>,
    /// Every remembered peer.
    pub peers: Vec<PeerObservation>,
    /// Every peer that the relay dials, in the order of the configuration.
    pub dials: Vec<DialObservation>,
}

/// A peer at one moment.
#[derive(Debug, Clone)]
pub struct PeerObservation {
    /// Its id.
    pub id: PeerId,
    /// Application or relay.
    pub kind: PeerKind,
    /// Whether messages are held for it while it is away.
    pub durable: bool,
    /// Whether it has a link.
    pub linked: bool,
    /// Deliveries owed to it, in flight ones included.
    pub backlog: u64,
    /// Deliveries sent to it and not settled.
    pub in_flight: usize,
}

/// How a peer that the relay dials stands at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialObservation {
    /// The id under which it is configured.
    pub alias: PeerId,
    /// Its id: the alias until it announced another.
    pub peer: PeerId,
    /// How its link stands.
    pub state: DialState,
    /// Failed dials in a row.
    pub failures: u32,
    /// Why the last dial failed, until the peer has a link again.
    pub last_error: Option<String>,
}

/// How the link with a dialled peer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialState {
    /// It has one, whichever end began it.
    Up,
    /// A dial is under way.
    Dialing,
    /// The next dial is waited for.
    Down,
    /// So many dials failed in a row that it is dialled only now and then.
    CircuitOpen,
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

    /// Why the store did not commit the last time that it was asked to, if it did not.
    #[must_use]
    pub fn store_failure(&self) -> Option<StoreError> {
        self.core.health.failure(&*self.core.clock)
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
            DialObservation { alias: dial.configured.alias.clone(), peer, state, failures, last_error }
        };
        self.core.dials.iter().map(observe).collect()
    }

    /// Looks at the relay now.
    pub async fn observe(&self) -> Observation {
        let topology = self.core.topology.load_full();
        let peers = topology.peers().iter().filter_map(|peer| {
            let lane = self.core.dispatcher.lane(&peer.id)?;
            Some(PeerObservation {
                id: peer.id.clone(),
                kind: peer.kind,
                durable: peer.durable,
                linked: lane.is_linked(),
                backlog: lane.backlog(),
                in_flight: lane.in_flight(),
            })
        });
        Observation {
            peers: peers.collect(),
            dials: self.dials(),
            guarantee: self.guarantee(),
            taking: self.is_taking(),
            store: self.core.store.stats().await,
        }
    }

    /// Sets the gauges to what is seen now. Called before the metrics page is rendered.
    pub async fn set_gauges(&self) {
        let Observation { guarantee, store, peers, dials, .. } = self.observe().await;
        let version = env!("CARGO_PKG_VERSION").to_owned();
        metrics::observe("slipstream_build_info", &[("version", version), ("store", guarantee.engine.to_owned())], 1);
        for (label, kind) in [("application", PeerKind::Application), ("relay", PeerKind::Relay)] {
            let links = peers.iter().filter(|peer| peer.linked && peer.kind == kind).count();
            metrics::observe("slipstream_active_connections", &[("kind", label.to_owned())], links as u64);
        }
        for dial in dials {
            let open = u64::from(dial.state == DialState::CircuitOpen);
            metrics::observe("slipstream_circuit_open", &[("peer", dial.peer.to_string())], open);
        }
        let (durable, anonymous): (Vec<_>, Vec<_>) = peers.into_iter().partition(|peer| peer.durable);
        let sum = |each: fn(&PeerObservation) -> u64| anonymous.iter().map(each).sum();
        let mut rows: Vec<_> =
            durable.iter().map(|peer| (peer.id.to_string(), peer.backlog, peer.in_flight as u64)).collect();
        if !anonymous.is_empty() {
            rows.push(("anonymous".to_owned(), sum(|peer| peer.backlog), sum(|peer| peer.in_flight as u64)));
        }
        for (peer, backlog, in_flight) in rows {
            metrics::observe("slipstream_backlog", &[("peer", peer.clone())], backlog);
            metrics::observe("slipstream_inflight", &[("peer", peer)], in_flight);
        }
        if let Ok(stats) = store {
            metrics::observe("slipstream_dedup_identities", &[], stats.identities);
            metrics::observe("slipstream_dead_letters", &[], stats.dead_letters);
            metrics::observe("slipstream_store_bytes", &[], stats.bytes);
        }
    }
}
