//! What a store holds, told in a form from which another store can be made of whatever kind.
//!
//! It is what the contract shows, and no more: how a store keeps it is its own. Sequences are told because they are an
//! order; the other store gives its own.

use async_trait::async_trait;
use bytes::Bytes;
use ulid::Ulid;

use crate::dead_letter::DeadLetterReason;
use crate::error::Result;
use crate::ids::{Identity, Key, MessageType, PeerId};
use crate::peer::Peer;
use crate::values::{Fingerprint, Sequence, Stamp, Timestamp};
use crate::views::DeliveryState;

/// A store that tells what it holds, page by page, as of one state: whoever has it makes sure that nobody writes
/// meanwhile. A page has a bounded number of items and of bytes, but for one oversized item.
///
/// # Errors
/// Those of reading. A page that failed may be asked for again.
#[async_trait(?Send)]
pub trait Holdings {
    /// What there is once.
    async fn once(&mut self) -> Result<HeldOnce>;

    /// The stamps that were seen, behind this one, by epoch and number; an empty page is the end.
    async fn stamps(&mut self, after: Option<Stamp>) -> Result<Vec<HeldStamps>>;

    /// The messages behind the one with this sequence, in ascending order; an empty page is the end.
    async fn messages(&mut self, after: Option<Sequence>) -> Result<Vec<HeldMessage>>;
}

/// What a store holds once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeldOnce {
    /// The id of this relay.
    pub relay: Option<PeerId>,
    /// The remembered peers, by id.
    pub peers: Vec<Peer>,
    /// What [`exchanged`](crate::MessageStore::exchanged) answers. If nothing is whole, a time behind all that is known.
    pub whole_since: Timestamp,
    /// Whether any of the messages may be an import.
    pub has_imports: bool,
}

/// Neighbouring stamps of an epoch that are remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldStamps {
    /// The epoch.
    pub epoch: Ulid,
    /// The numbers, ascending; of one page no more than 4,096, all with the same quotient by that.
    pub numbers: Vec<u64>,
    /// The latest time at which a message with one of them was received.
    pub latest: Timestamp,
}

/// A message of which something is remembered: its identity, its trace, or a delivery that is pending or dead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldMessage {
    /// The sequence that it was recorded or imported under.
    pub sequence: Sequence,
    /// Its identity.
    pub identity: Identity,
    /// Whether it was recorded or imported.
    pub origin: HeldOrigin,
    /// When it was received.
    pub received_at: Timestamp,
    /// The rest of what its trace says; `None` once that was forgotten.
    pub header: Option<HeldHeader>,
    /// Its deliveries, by peer. An import has no more than one.
    pub deliveries: Vec<HeldDelivery>,
    /// When its deliveries lose their point. It need not be known once none is pending or dead.
    pub expires_at: Option<Timestamp>,
    /// The outgoing text; empty once no delivery is pending or dead.
    pub text: Bytes,
}

impl HeldMessage {
    /// Whether a delivery is pending or a dead letter.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.deliveries.iter().any(HeldDelivery::is_open)
    }
}

/// How a message came into a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldOrigin {
    /// It was recorded.
    Recorded {
        /// Its fingerprint; any if it is not known, which then nothing depends on.
        fingerprint: Fingerprint,
        /// Whether its identity is remembered. Those of which it is not come before all of which it is.
        remembered: bool,
    },
    /// It came with a dead letter.
    Imported,
}

/// What a trace says of a message beside its deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldHeader {
    /// Its type.
    pub message_type: MessageType,
    /// Its key.
    pub key: Option<Key>,
    /// From which peer it was received.
    pub received_from: PeerId,
    /// Its path as it goes out.
    pub path: Vec<PeerId>,
    /// The epoch that it was recorded with.
    pub epoch: Option<Ulid>,
}

/// A delivery as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldDelivery {
    /// To whom.
    pub peer: PeerId,
    /// Its newest sequence: another than its message's once it was redriven.
    pub sequence: Sequence,
    /// What it is, or how it was settled.
    pub state: HeldState,
    /// When the peer had acknowledged the message before: it has then another delivery of it from an alias, and this is
    /// that one.
    pub acknowledged: Option<Timestamp>,
}

impl HeldDelivery {
    /// Whether it is pending or a dead letter.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !matches!(self.state, HeldState::Settled { .. })
    }
}

/// What a delivery is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeldState {
    /// It is owed.
    Pending {
        /// The highest attempt that was noted, 0 if none was.
        attempts: u32,
        /// When that was.
        last_attempt_at: Option<Timestamp>,
    },
    /// It is a dead letter.
    Dead {
        /// Why.
        reason: DeadLetterReason,
        /// How many attempts were made.
        attempts: u32,
        /// When it was given up.
        at: Timestamp,
    },
    /// It was settled; as `Dead` if it was a dead letter that is not there any more.
    Settled {
        /// How. It is not `Pending`.
        state: DeliveryState,
        /// When.
        at: Timestamp,
    },
}

/// What happened to the deliveries of a message to one peer, gathered in any order.
#[derive(Debug, Clone, Default)]
pub struct Fate {
    open: Option<(Sequence, HeldState)>,
    newest: Option<Sequence>,
    settled: Vec<(Sequence, Timestamp, DeliveryState)>,
}

impl Fate {
    /// There is a delivery under this sequence that is pending or a dead letter.
    pub fn is_open(&mut self, sequence: Sequence, state: HeldState) {
        self.open = Some((sequence, state));
    }

    /// The delivery has had this sequence.
    pub fn had(&mut self, sequence: Sequence) {
        self.newest = self.newest.max(Some(sequence));
    }

    /// The delivery was settled under this sequence.
    pub fn was_settled(&mut self, sequence: Sequence, at: Timestamp, state: DeliveryState) {
        self.had(sequence);
        self.settled.push((sequence, at, state));
    }

    /// The delivery as traces tell it: the open one, or else the newest as it was settled last. `None` if there is none.
    #[must_use]
    pub fn delivery(self, peer: PeerId) -> Option<HeldDelivery> {
        let Self { open, newest, settled } = self;
        let acknowledged = settled.iter().filter(|(.., state)| *state == DeliveryState::Acknowledged);
        let acknowledged = acknowledged.map(|(_, at, _)| *at).max();
        if let Some((sequence, state)) = open {
            return Some(HeldDelivery { peer, sequence, state, acknowledged });
        }
        let sequence = newest?;
        let last = settled.into_iter().filter(|(of, ..)| *of == sequence);
        let (_, at, state) = last.max_by_key(|&(_, at, state)| (at, state != DeliveryState::Dead, state as u8))?;
        let acknowledged = acknowledged.filter(|_| state != DeliveryState::Acknowledged);
        Some(HeldDelivery { peer, sequence, state: HeldState::Settled { state, at }, acknowledged })
    }

    /// Of what happened to an import, which only one peer has at a time, that of the peer who had it last.
    #[must_use]
    pub fn of_import(fates: impl IntoIterator<Item = (PeerId, Self)>) -> Option<HeldDelivery> {
        let deliveries = fates.into_iter().filter_map(|(peer, fate)| fate.delivery(peer));
        let last = deliveries.max_by_key(|delivery| {
            let at = match &delivery.state {
                HeldState::Settled { state, at } => (*at, *state != DeliveryState::Dead),
                _ => (Timestamp::MAX, true),
            };
            (delivery.is_open(), delivery.sequence, at)
        });
        last.map(|delivery| HeldDelivery { acknowledged: None, ..delivery })
    }
}
