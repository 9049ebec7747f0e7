//! What this relay and one of its peers handed to each other, message by message, so that both can be compared.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use ulid::Ulid;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::batch::{Record, Route};
use crate::ids::PeerId;
use crate::values::{Fingerprint, Sequence};
use crate::views::DeliveryState;

/// A message that was recorded here, and what a peer has to do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchanged<'a> {
    /// The sequence that it was recorded under.
    pub sequence: Sequence,
    /// The cluster group of its identity.
    pub group: &'a str,
    /// The message id of its identity.
    pub id: &'a str,
    /// The fingerprint of its content.
    pub fingerprint: Fingerprint,
    /// The epoch of its stamp.
    pub epoch: Ulid,
    /// Whether it was sent to the peer.
    pub sent: Sent,
    /// Whether it came from the peer.
    pub came: Came,
}

impl<'a> Exchanged<'a> {
    /// A message as it was recorded under this sequence, and what a peer has to do with it; `None` if it has no epoch.
    #[must_use]
    pub fn of(sequence: Sequence, record: &'a Record, sent: Sent, peer: &PeerId) -> Option<Self> {
        Some(Self {
            sequence,
            group: record.identity.group.as_str(),
            id: record.identity.id.as_str(),
            fingerprint: record.fingerprint,
            epoch: record.epoch?,
            sent,
            came: Came::of(&record.route, peer),
        })
    }

    /// A hash of the identity, which is the same at every relay and never changes.
    #[must_use]
    pub fn mark(&self) -> u64 {
        xxh3_64_with_seed(self.id.as_bytes(), xxh3_64(self.group.as_bytes()))
    }

    /// A hash of identity and content, which is the same at every relay and never changes.
    #[must_use]
    pub fn digest(&self) -> u64 {
        xxh3_64_with_seed(&self.fingerprint.as_u64().to_le_bytes(), self.mark())
    }
}

/// Whether a message was for a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Sent {
    /// It was neither recorded with a delivery for the peer, nor was such a delivery settled.
    #[default]
    No,
    /// It was, and the peer has never acknowledged it.
    Unacknowledged,
    /// The peer has acknowledged it.
    Acknowledged,
}

impl Sent {
    /// What it is once a delivery for the peer was settled, too.
    #[must_use]
    pub fn and_settled(self, state: DeliveryState) -> Self {
        self.max(if state == DeliveryState::Acknowledged { Self::Acknowledged } else { Self::Unacknowledged })
    }
}

/// Whether a message came from a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Came {
    /// The peer handed it to this relay.
    FromPeer,
    /// Another did, and the peer is on its path.
    ThroughPeer,
    /// The peer is not on its path.
    Otherwise,
}

impl Came {
    /// Whether a message on this route came from the peer.
    fn of(route: &Route, peer: &PeerId) -> Self {
        if route.received_from == *peer {
            Self::FromPeer
        } else if route.path.contains(peer) {
            Self::ThroughPeer
        } else {
            Self::Otherwise
        }
    }
}

/// Takes messages that were exchanged, until it has enough.
#[derive(Clone)]
pub struct Show(Arc<ShowOne>);

type ShowOne = dyn Fn(&Exchanged<'_>) -> ControlFlow<()> + Send + Sync;

impl Show {
    /// Calls `show` with each message. It is called by one thread at a time.
    pub fn each(show: impl Fn(&Exchanged<'_>) -> ControlFlow<()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(show))
    }

    /// Shows a message. After `Break` no other is wanted.
    pub fn show(&self, message: &Exchanged<'_>) -> ControlFlow<()> {
        (self.0)(message)
    }
}

impl fmt::Debug for Show {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Show")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_keep_identity_and_content_apart_and_never_change() {
        let told = |group, id, fingerprint| {
            let (fingerprint, sequence) = (Fingerprint::from_u64(fingerprint), Sequence::FIRST);
            Exchanged { sequence, group, id, fingerprint, epoch: Ulid::nil(), sent: Sent::No, came: Came::Otherwise }
        };
        let one = told("g", "m1", 7);
        for other in [told("g", "m2", 7), told("h", "m1", 7), told("gm", "1", 7)] {
            assert_ne!((one.mark(), one.digest()), (other.mark(), other.digest()));
        }
        let altered = told("g", "m1", 8);
        assert!(one.mark() == altered.mark() && one.digest() != altered.digest());
        assert_eq!((one.mark(), one.digest()), GOLDEN, "relays of different versions are compared by them");
    }

    const GOLDEN: (u64, u64) = (2_090_286_623_079_748_894, 11_389_438_740_921_017_864);
}
