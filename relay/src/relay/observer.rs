//! What can be seen of a running relay from outside: for the metrics page, readiness and status.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use slipstream_store::{Guarantee, MessageStore, PeerId, PeerKind, Result, Stats, Timestamp};

use super::core::Core;
use super::peers::Dial;
use crate::dial::DialStatus;
use crate::metrics::table::{
    ACTIVE_CONNECTIONS, BACKLOG, BUILD_INFO, CIRCUIT_OPEN, DEAD_LETTERS, DEDUP_IDENTITIES, IN_FLIGHT,
    OLDEST_DELIVERY_AGE, RECONNECTS, REPUBLISHES, STORE_BYTES, STORE_FREE_BYTES, describe_sampled,
};
use crate::metrics::{ANONYMOUS, kind_label};

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
    /// Bytes of deliveries that wait in memory to be sent to it.
    pub queued_bytes: usize,
    /// When the oldest message that it is owed was received, if it is owed any and the store can tell.
    pub oldest: Option<Timestamp>,
    /// Deliveries that were republished to it since the start of the relay.
    pub republishes: u64,
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
    /// Links that were dialled again since the start of the relay.
    pub reconnects: u64,
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

    /// Why the store does not commit, where it does not: it failed lately, takes long, or is not to be had.
    #[must_use]
    pub fn store_trouble(&self) -> Option<String> {
        self.core.health.trouble(&*self.core.clock)
    }

    /// What is wrong with the disk under the store, where something is: it is low, or cannot be looked at.
    #[must_use]
    pub fn disk_trouble(&self) -> Option<String> {
        self.core.disk.trouble()
    }

    /// How many bytes are free where the store is, as of the last look, where that is known.
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

    /// Looks at the relay now.
    pub async fn observe(&self) -> Observation {
        let topology = self.core.topology.load_full();
        let mut peers = Vec::with_capacity(topology.peers().len());
        for peer in topology.peers() {
            let Some(lane) = self.core.dispatcher.lane(&peer.id) else { continue };
            let backlog = lane.backlog();
            let oldest = match backlog {
                0 => None,
                _ => self.core.dispatcher.oldest(&lane, &*self.core.store).await.ok().flatten(),
            };
            peers.push(PeerObservation {
                id: peer.id.clone(),
                kind: peer.kind,
                durable: peer.durable,
                linked: lane.is_linked(),
                backlog,
                in_flight: lane.in_flight(),
                queued_bytes: lane.queued_bytes(),
                oldest,
                republishes: lane.republishes(),
            });
        }
        Observation {
            peers,
            dials: self.dials(),
            guarantee: self.guarantee(),
            taking: self.is_taking(),
            store: self.core.store.stats().await,
        }
    }

    /// Records what is seen now, on the metrics page that is being made.
    pub async fn record(&self) {
        describe_sampled();
        let Observation { guarantee, store, peers, dials, .. } = self.observe().await;
        BUILD_INFO.gauge([env!("CARGO_PKG_VERSION"), guarantee.engine]).set(1.0);
        for kind in [PeerKind::Application, PeerKind::Relay] {
            let links = peers.iter().filter(|peer| peer.linked && peer.kind == kind).count();
            ACTIVE_CONNECTIONS.gauge([kind_label(kind)]).set(float(links as u64));
        }
        for dial in dials {
            let open = dial.state == DialState::CircuitOpen;
            CIRCUIT_OPEN.gauge([dial.peer.as_str()]).set(f64::from(u8::from(open)));
            RECONNECTS.counter([dial.peer.as_str()]).absolute(dial.reconnects);
        }
        let (durable, anonymous): (Vec<_>, Vec<_>) = peers.into_iter().partition(|peer| peer.durable);
        let now = self.core.clock.now();
        for peer in &durable {
            record_peers(peer.id.as_str(), std::slice::from_ref(peer), now);
        }
        if !anonymous.is_empty() {
            record_peers(ANONYMOUS, &anonymous, now);
        }
        if let Ok(stats) = store {
            DEDUP_IDENTITIES.gauge([]).set(float(stats.identities));
            DEAD_LETTERS.gauge([]).set(float(stats.dead_letters));
            STORE_BYTES.gauge([]).set(float(stats.bytes));
        }
        if let Some(free) = self.disk_free() {
            STORE_FREE_BYTES.gauge([]).set(float(free));
        }
    }
}

/// Records peers that share one label.
fn record_peers(label: &str, peers: &[PeerObservation], now: Timestamp) {
    let sum = |each: fn(&PeerObservation) -> u64| peers.iter().map(each).sum::<u64>();
    BACKLOG.gauge([label]).set(float(sum(|peer| peer.backlog)));
    IN_FLIGHT.gauge([label]).set(float(sum(|peer| peer.in_flight as u64)));
    REPUBLISHES.counter([label]).absolute(sum(|peer| peer.republishes));
    let oldest = peers.iter().filter_map(|peer| peer.oldest).min();
    let age = oldest.map_or(0, |oldest| now.as_millis().saturating_sub(oldest.as_millis()));
    OLDEST_DELIVERY_AGE.gauge([label]).set(float(age) / 1000.0);
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; counts beyond 2^52 do not occur")]
fn float(count: u64) -> f64 {
    count as f64
}
