//! The contract between Slipstream and its stores.
//!
//! A store makes messages durable together with a *delivery* for every peer that is owed the message, and tracks
//! each delivery until it is settled. This crate holds the [`MessageStore`] trait, the values that go in and come
//! out, and the errors. It holds no engine and does no I/O, so that everything else may depend on it.
//!
//! Start with [`MessageStore`]: its documentation is the contract, in numbered clauses. The suite in
//! `slipstream-conformance` checks each of them; `docs/writing-a-store.md` walks from an empty crate to a store
//! that passes.
//!
//! # The words
//!
//! | word | meaning |
//! | --- | --- |
//! | message | what a peer sent; its [`Identity`] is the pair of cluster group and message id |
//! | delivery | one message owed to one peer; [`PeerId`] and [`Sequence`] name it |
//! | pending | of a delivery: not settled yet |
//! | settled | of a delivery: acknowledged, superseded, expired or dead |
//! | sequence | a message's place in commit order; all deliveries of a message share it |
//! | dead letter | a delivery that was given up, kept with its reason until it is redriven or discarded |
//! | stamp | the number that the first relay of a mesh gave a message |
//! | member | one of the processes that have a shared store open |
//! | claim | a member's right to serve the link of a peer |
//! | horizon | how far back a store must remember; [`MessageStore::purge`] forgets what lies behind it |

mod batch;
mod dead_letter;
mod error;
mod exchange;
mod guarantee;
mod holdings;
mod ids;
mod peer;
mod shared;
mod short_text;
mod store;
mod values;
mod views;

pub use batch::{Batch, DuplicateBy, Operation, Outcome, Record, Route};
pub use dead_letter::{
    DeadLetter, DeadLetterCount, DeadLetterCounts, DeadLetterCursor, DeadLetterFilter, DeadLetterReason, UnknownReason,
};
pub use error::{Result, StoreError};
pub use exchange::{Came, Exchanged, Sent, Show};
pub use guarantee::{About, Durability, Guarantee, Survives};
pub use holdings::{
    Fate, HeldDelivery, HeldHeader, HeldMessage, HeldOnce, HeldOrigin, HeldStamps, HeldState, Holdings,
};
pub use ids::{ClusterGroup, GeneratedFor, Identity, InvalidId, Key, MessageId, MessageType, PeerId, Tag};
pub use peer::{Peer, PeerKind, RememberedPeer, Roster, RosterVersion};
pub use shared::{Member, MemberId, News, Owed, SharedStore};
pub use store::MessageStore;
pub use values::{Fingerprint, Sequence, Stamp, Timestamp};
pub use views::{
    Defect, DeliveryState, Depth, Horizon, Page, PageLimit, Pending, Purged, Stats, Trace, TracedDelivery,
};
