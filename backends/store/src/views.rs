//! What comes out of a store: pages, traces, counts.

use std::num::{NonZeroU32, NonZeroUsize};

use bytes::Bytes;

use crate::dead_letter::DeadLetterReason;
use crate::ids::{Identity, Key, MessageType, PeerId};
use crate::values::{Sequence, Timestamp};

/// How large a page may be. A page holds as many items, in order, as fit in both limits, and at least one where there
/// is one, also an oversized one (clause C6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageLimit {
    /// Most items.
    pub items: NonZeroU32,
    /// Most bytes of message text, summed over the items.
    pub bytes: NonZeroUsize,
}

impl PageLimit {
    /// Most bytes of a page unless said otherwise: 1 MiB.
    pub const DEFAULT_BYTES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1024 * 1024 - 1);

    /// A page of up to this many items and [`DEFAULT_BYTES`](Self::DEFAULT_BYTES).
    #[must_use]
    pub const fn items(items: NonZeroU32) -> Self {
        Self { items, bytes: Self::DEFAULT_BYTES }
    }
}

/// Items of one snapshot, in ascending order (clause C6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Whether the snapshot held more after the last item.
    pub more: bool,
}

/// A pending delivery, with all that is needed to make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its sequence.
    pub sequence: Sequence,
    /// The message's identity.
    pub identity: Identity,
    /// The message's type.
    pub message_type: MessageType,
    /// The message's key.
    pub key: Option<Key>,
    /// When it loses its point.
    pub expires_at: Option<Timestamp>,
    /// When the relay took the message in.
    pub received_at: Timestamp,
    /// The highest attempt that was noted, 0 where none was.
    pub attempts: u32,
    /// When that was.
    pub last_attempt_at: Option<Timestamp>,
    /// Whether it was redriven: then its message is older than its sequence says.
    pub redriven: bool,
    /// The outgoing text, as it was recorded.
    pub text: Bytes,
}

/// Where a message stands, peer by peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The message's identity.
    pub identity: Identity,
    /// Its type.
    pub message_type: MessageType,
    /// Its key.
    pub key: Option<Key>,
    /// When the relay took it in.
    pub received_at: Timestamp,
    /// From which peer.
    pub received_from: PeerId,
    /// Its path as it goes out.
    pub path: Vec<PeerId>,
    /// One entry for each delivery, ordered by peer id. A delivery that was redriven stands under its newest
    /// sequence only; one that its peer had from an alias after it had settled its own, as it is now, and once it is
    /// settled, under the newest sequence as it was settled at the latest time.
    pub deliveries: Vec<TracedDelivery>,
}

/// Where one delivery stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracedDelivery {
    /// To whom.
    pub peer: PeerId,
    /// Its sequence.
    pub sequence: Sequence,
    /// Pending, or how it was settled.
    pub state: DeliveryState,
    /// Of a pending delivery the highest attempt that was noted, of a dead letter the number it was given up with;
    /// 0 for others, and once a dead letter was discarded.
    pub attempts: u32,
    /// When that was; kept for pending deliveries.
    pub last_attempt_at: Option<Timestamp>,
    /// When it was settled.
    pub settled_at: Option<Timestamp>,
    /// Why it is dead, for as long as the dead letter is kept.
    pub reason: Option<DeadLetterReason>,
}

/// The states of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryState {
    /// Owed.
    Pending,
    /// The peer has handled it.
    Acknowledged,
    /// The peer has handled a newer value of the same key.
    Superseded,
    /// The delivery lost its point: the message's expiry passed, the peer was forgotten, or it proved to be none that
    /// the message is for.
    Expired,
    /// Given up; a dead letter, unless that was discarded.
    Dead,
}

/// How far back a store must remember. What lies behind may go; what lies before it must stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizon {
    /// The time it is, on the scale of all times that a store was given: what the purge ends was settled then.
    pub now: Timestamp,
    /// Pending deliveries of messages whose expiry is at or before this time end as expired. It is the time of day,
    /// which the sender of a message went by, and may differ from [`now`](Self::now).
    pub expiries: Timestamp,
    /// Identities of messages that were received before this time are forgotten: in the order of their recording,
    /// up to the first that was received at or after it. (Where the clock jumped, one behind that waits for it.)
    pub identities: Timestamp,
    /// Of the rest, only this many, the last recorded, are kept. (Both rules together: while the first recorded of those
    /// remembered lies behind [`identities`](Self::identities), or more than this many are remembered, that one goes.)
    pub max_identities: u64,
    /// Stamps that last came with a message that was received before this time may be forgotten.
    pub stamps: Timestamp,
    /// The trace of a message that was settled before this time may be forgotten.
    pub traces: Timestamp,
    /// Where traces take more bytes than this, the oldest may be forgotten too.
    pub max_trace_bytes: u64,
}

impl Horizon {
    /// The horizon that forgets nothing.
    pub const NOTHING: Self = Self {
        now: Timestamp::ZERO,
        expiries: Timestamp::ZERO,
        identities: Timestamp::ZERO,
        max_identities: u64::MAX,
        stamps: Timestamp::ZERO,
        traces: Timestamp::ZERO,
        max_trace_bytes: u64::MAX,
    };
}

/// What a purge did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Purged {
    /// The deliveries that ended as expired.
    pub expired: Vec<(PeerId, Sequence)>,
    /// How many things were removed in all: messages, identities, stamps, trace records and expired deliveries, in
    /// the units that the budget counts.
    pub removed: u64,
    /// Whether the budget ended before the work did.
    pub more: bool,
}

/// How much is in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Remembered peers.
    pub peers: u64,
    /// Messages that still take up room, owed or not yet purged.
    pub messages: u64,
    /// Pending deliveries, summed over the peers.
    pub pending: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// Remembered identities.
    pub identities: u64,
    /// Bytes on the medium.
    pub bytes: u64,
}

/// How thorough a check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// What can be seen without reading every message.
    Quick,
    /// Everything: reads the whole store.
    Full,
}

/// Something that a check found wrong, in words for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defect(pub String);
