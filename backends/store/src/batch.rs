//! What goes into a store: operations, in batches that apply whole or not at all.

use std::sync::Arc;

use bytes::Bytes;
use ulid::Ulid;

use crate::dead_letter::DeadLetterReason;
use crate::ids::{Identity, Key, MessageType, PeerId};
use crate::peer::{Peer, RosterVersion};
use crate::values::{Fingerprint, Sequence, Stamp, Timestamp};

/// Operations that a store commits together (clause C1). It is a value, not an open transaction, so it can be
/// committed again, logged, and replayed against the model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// Applied in this order; each sees those before it.
    pub operations: Vec<Operation>,
    /// The oldest roster by which one of its messages was routed, if the store is shared. Then the batch is refused if that
    /// is not the one in force (clause S2).
    pub routed_by: Option<RosterVersion>,
}

impl From<Vec<Operation>> for Batch {
    fn from(operations: Vec<Operation>) -> Self {
        Self { operations, routed_by: None }
    }
}

/// Where a message came from and to whom it goes. Neighbouring messages mostly share one, by reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The peer that this relay got the message from.
    pub received_from: PeerId,
    /// The message's path as it goes out: ends with this relay.
    pub path: Box<[PeerId]>,
    /// Every peer that is owed the message, none twice.
    pub recipients: Box<[PeerId]>,
}

/// A message that is to be stored, with all its deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What makes it this message.
    pub identity: Identity,
    /// What tells a repetition from another message under the same identity.
    pub fingerprint: Fingerprint,
    /// Its type.
    pub message_type: MessageType,
    /// The key that it is about.
    pub key: Option<Key>,
    /// When its deliveries lose their point.
    pub expires_at: Option<Timestamp>,
    /// When this relay took it in.
    pub received_at: Timestamp,
    /// The number that the first relay gave it, where it came from a relay.
    pub stamp: Option<Stamp>,
    /// The epoch of the number that it goes out with, whichever relay gave it; `None` if it has no number.
    pub epoch: Option<Ulid>,
    /// Where it came from and to whom it goes.
    pub route: Arc<Route>,
    /// The outgoing text. It is sent as it stands here; a store never looks inside.
    pub text: Bytes,
}

/// One change to a store. Operations on a delivery name it by peer and sequence.
///
/// An operation on a delivery that is not pending, or on a peer or dead letter that is not there, changes nothing
/// and gives [`Outcome::Unchanged`]: that is what makes a batch repeatable (clause C3).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Stores a message and a pending delivery for each recipient that is remembered; a recipient that is not
    /// remembered (any more) is passed over. A message without any recipient is recorded too: its identity and its
    /// trace count.
    ///
    /// Gives [`Recorded`](Outcome::Recorded), or [`Duplicate`](Outcome::Duplicate) where the identity is remembered
    /// with the same fingerprint or the stamp was seen, or [`Conflict`](Outcome::Conflict) where the identity is
    /// remembered with another fingerprint. Identity is looked at before the stamp. Unless it is a conflict, the
    /// stamp counts as seen from now on. A duplicate leaves no other mark: the identity of a duplicate by stamp is
    /// not remembered, and a duplicate by identity keeps the time of the first record.
    Record(Box<Record>),
    /// Asks for a message that is not to be stored now: was it recorded before? Where [`Record`](Self::Record) would
    /// give [`Duplicate`](Outcome::Duplicate) or [`Conflict`](Outcome::Conflict), this does and gives the same.
    /// Otherwise it changes nothing, neither is its stamp seen, and it gives [`Unchanged`](Outcome::Unchanged).
    Recognise(Box<Record>),
    /// Settles a delivery: the peer has handled it. If the delivery is a dead letter by now, the dead letter goes, and
    /// this gives [`AcknowledgedLate`](Outcome::AcknowledgedLate).
    Acknowledge {
        /// Whose delivery.
        peer: PeerId,
        /// Which delivery.
        sequence: Sequence,
        /// When.
        at: Timestamp,
    },
    /// Notes the attempt with this number, counted from 1, on a pending delivery. A number that is not above the
    /// one noted before changes nothing.
    Attempt {
        /// Whose delivery.
        peer: PeerId,
        /// Which delivery.
        sequence: Sequence,
        /// How many attempts there have been with this one.
        number: u32,
        /// When.
        at: Timestamp,
    },
    /// Settles a delivery: it is given up and becomes a dead letter, which keeps the whole message.
    DeadLetter {
        /// Whose delivery.
        peer: PeerId,
        /// Which delivery.
        sequence: Sequence,
        /// Why.
        reason: DeadLetterReason,
        /// How many attempts were made.
        attempts: u32,
        /// When.
        at: Timestamp,
    },
    /// Settles a delivery: the peer has acknowledged a newer value of the same key.
    Supersede {
        /// Whose delivery.
        peer: PeerId,
        /// Which delivery.
        sequence: Sequence,
        /// When.
        at: Timestamp,
    },
    /// Settles a delivery that has lost its point: its message's expiry has passed, or its peer has proved to be none
    /// that the message is for.
    Expire {
        /// Whose delivery.
        peer: PeerId,
        /// Which delivery.
        sequence: Sequence,
        /// When.
        at: Timestamp,
    },
    /// Turns a dead letter into a pending delivery with a new sequence and no attempts (clause C7), for that peer
    /// alone. Where the peer is not remembered any more, nothing changes.
    Redrive {
        /// Whose dead letter.
        peer: PeerId,
        /// Which dead letter.
        sequence: Sequence,
    },
    /// Puts a dead letter into the store that was taken out of one, this or another, under a new sequence and with its
    /// message as it stands here. Nothing is owed by it. Its peer need not be remembered.
    ///
    /// It is not a message that came in: no identity is looked at or remembered, and no stamp. So it counts as no
    /// repetition, and what comes in later is none because of it. For [`AdoptPeer`](Self::AdoptPeer) it is a message of its
    /// own, whatever its identity. In a trace it belongs to the record of its identity that is the newest before it.
    ///
    /// Gives [`Imported`](Outcome::Imported). Where the peer has a dead letter of that identity with that very text already,
    /// it gives [`Unchanged`](Outcome::Unchanged).
    ImportDeadLetter {
        /// Whose delivery it was.
        peer: PeerId,
        /// The message. Its fingerprint, its stamp and the recipients of its route are not looked at.
        message: Box<Record>,
        /// Why it was given up.
        reason: DeadLetterReason,
        /// How many attempts were made.
        attempts: u32,
        /// When it was given up.
        dead_at: Timestamp,
    },
    /// Removes a dead letter for good.
    Discard {
        /// Whose dead letter.
        peer: PeerId,
        /// Which dead letter.
        sequence: Sequence,
    },
    /// Remembers a peer, or what is new about it. What it is owed stays.
    RememberPeer(Box<Peer>),
    /// Remembers a peer in the place of another, which is forgotten: a dialled peer was held for under its alias and
    /// has said who it is.
    ///
    /// What the alias is owed, and its dead letters, are the peer's from now on, under the same sequences, with their
    /// attempts; also in traces, where what was settled under the alias stays under the alias. Where both have a
    /// delivery of the same message, pending or dead, the peer's stays and the alias's goes. Where nobody is
    /// remembered under the alias, or it is the peer's own id, this is `RememberPeer`.
    AdoptPeer {
        /// Whose place it takes.
        alias: PeerId,
        /// The peer. Its id is another than the alias.
        peer: Box<Peer>,
    },
    /// Forgets a peer. Its pending deliveries end as expired; its dead letters stay.
    ForgetPeer {
        /// Who.
        peer: PeerId,
        /// When.
        at: Timestamp,
    },
    /// Remembers the id of this relay.
    NameRelay {
        /// The id.
        id: PeerId,
    },
}

/// What an operation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The message is stored and owed under this sequence.
    Recorded {
        /// The message's place in commit order.
        sequence: Sequence,
    },
    /// The message was recorded before: nothing is owed anew.
    Duplicate {
        /// How that was known.
        by: DuplicateBy,
    },
    /// The identity was recorded for another message. Nothing was stored.
    Conflict,
    /// The dead letter is owed again under this sequence.
    Redriven {
        /// The new sequence.
        sequence: Sequence,
    },
    /// The dead letter is there, under this sequence.
    Imported {
        /// The new sequence.
        sequence: Sequence,
    },
    /// The delivery was a dead letter, and counts as acknowledged now.
    AcknowledgedLate,
    /// The operation changed what it says.
    Applied,
    /// There was nothing to change: it was so already, or what it names is not there, or it is another process's to decide
    /// (clause S3).
    Unchanged,
}

/// How a repetition was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DuplicateBy {
    /// The identity is remembered with the same fingerprint.
    Identity,
    /// The stamp was seen.
    Stamp,
}
