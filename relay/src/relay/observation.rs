//! What is seen of a relay at one moment.

use std::net::SocketAddr;
use std::sync::Arc;

use slipstream_store::{Guarantee, Peer, PeerId, Result, Stats, Timestamp, Trace};

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

/// The remembered peers, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Census {
    /// Those that have a link.
    pub up: u64,
    /// Those that have none.
    pub down: u64,
    /// Those whose deliveries are paused, with a link or without.
    pub paused: u64,
    /// Deliveries that all of them are owed, in flight ones included.
    pub backlog: u64,
}

/// A peer at one moment.
#[derive(Debug, Clone)]
pub struct PeerObservation {
    /// What is remembered of it.
    pub peer: Arc<Peer>,
    /// Whether the configuration names it.
    pub configured: bool,
    /// The address of its end of the link, if it has one.
    pub linked_from: Option<SocketAddr>,
    /// Deliveries owed to it, in flight ones included.
    pub backlog: u64,
    /// Deliveries sent to it and not settled.
    pub in_flight: usize,
    /// Bytes of them.
    pub in_flight_bytes: usize,
    /// Bytes of deliveries that wait in memory to be sent to it.
    pub queued_bytes: usize,
    /// When the oldest message that it is owed was received, if it is owed any, or why the store does not tell.
    pub oldest: Result<Option<Timestamp>>,
    /// Deliveries that were republished to it since the start of the relay.
    pub republishes: u64,
    /// Messages that were let in from it since the start of the relay, or since it was remembered.
    pub received: u64,
    /// Deliveries that it acknowledged since then.
    pub delivered: u64,
}

/// Where a message stands at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageObservation {
    /// What the store tells.
    pub trace: Trace,
    /// To whom of those that it is owed to it was sent, and not answered yet.
    pub in_flight: Vec<PeerId>,
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
