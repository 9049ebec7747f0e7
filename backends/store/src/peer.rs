//! What a store remembers of peers.

use std::sync::Arc;

use crate::ids::{ClusterGroup, PeerId, Tag};
use crate::values::{Sequence, Timestamp};

/// What a peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeerKind {
    /// An application server.
    Application,
    /// Another relay.
    Relay,
}

/// A peer as a store remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its id, unique among the peers of a store.
    pub id: PeerId,
    /// Application or relay.
    pub kind: PeerKind,
    /// Its cluster group.
    pub group: ClusterGroup,
    /// Its tags, in the order in which they were given.
    pub tags: Arc<[Tag]>,
    /// Whether messages are held for it while it is away. What an anonymous peer is owed dies with its link: the
    /// relay forgets such a peer when the link ends, and at the next start where a crash came first.
    pub durable: bool,
    /// When it was last seen.
    pub last_seen: Timestamp,
    /// The id under which this relay's configuration dials it, unless that is the very id that it has said itself. So
    /// what is configured finds its peer again after a restart, and what is held under a name that nobody has said yet is
    /// known as that.
    pub alias: Option<PeerId>,
    /// Whether an operator has paused its deliveries: they are held, as while it is away, also if it has a link.
    pub paused: bool,
}

/// A peer and how much it is owed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RememberedPeer {
    /// The peer, as it was last remembered.
    pub peer: Peer,
    /// How many of its deliveries are pending.
    pub backlog: u64,
    /// The first of them.
    pub oldest: Option<Sequence>,
}

/// Which state of the roster of a shared store is meant (clause S2). Each change of it has a greater one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RosterVersion(pub u64);

/// Everything that a relay reads back when it opens its store (clause C12).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roster {
    /// Which state of the roster this is; 0 if the store is exclusive.
    pub version: RosterVersion,
    /// The id that this relay was named, if ever.
    pub relay: Option<PeerId>,
    /// Every remembered peer, in the order of their ids.
    pub peers: Vec<RememberedPeer>,
}
