//! The ledger: how Slipstream's embedded stores track deliveries, written once for every engine.
//!
//! An engine supplies a few ordered tables ([`Engine`], [`Tables`], [`Reader`]); this crate makes a
//! [`MessageStore`](slipstream_store::MessageStore) of them, [`EmbeddedStore`].
//!
//! # Deliveries as bits
//!
//! A message that goes to fifty peers is one row and fifty bits. Sequences are dealt out in order, so that 1,024
//! neighbours make a *block*; for each peer and block there is one row of 128 bytes in which a set bit says: this
//! peer is owed this message. Recording sets bits, acknowledging clears them, catching up walks them. However many
//! deliveries of a block change in a commit, the row is written once.
//!
//! | table | row |
//! | --- | --- |
//! | messages | sequence → the message with its outgoing text; removed when nobody is owed it |
//! | owed | peer number, block → a bit for each pending delivery |
//! | notes | peer number, sequence → attempts, and where a redriven delivery came from |
//! | dead | sequence, peer id → a dead letter with its whole message, so that the message itself can go |
//! | redriven | first sequence, peer id → the sequence that the delivery was last redriven under |
//! | seen | stamp epoch, block → a bit for each stamp that was seen, and when the last was |
//! | blocks | block → a bit for each message that is stored, the earliest expiry, the latest change |
//! | journal | commit number → what the commit recorded and settled |
//! | peers, meta | the remembered peers; the counters |
//!
//! No random key is ever written: identities are looked up in memory, in a table of 22 bytes each that is rebuilt
//! from the journal at opening. The journal is also what traces are read from.
//!
//! # One way through
//!
//! A commit goes to the writer thread, which applies it to a *draft* on top of the *ledger*, its memory of the store.
//! The draft becomes writes, the engine makes them durable in one transaction, and only then the ledger takes the
//! draft in: a write that fails leaves memory and medium as they were. Reader threads each have a view of their own
//! on the tables and never wait for the writer.

mod adopt;
mod ages;
mod backup;
mod bits;
mod check;
mod codec;
mod copy;
mod deliveries;
mod draft;
mod engine;
mod foreign;
mod identities;
mod install;
mod journal;
mod keys;
mod ledger;
mod load;
mod lock;
mod marker;
#[cfg(test)]
mod memory;
mod offline;
mod opening;
mod owned;
mod pages;
mod peers;
mod place;
mod prepared;
mod purge;
mod readers;
mod rows;
mod settled;
mod stamps;
mod store;
pub mod system;
#[cfg(test)]
mod tests;
mod trace;
mod watch;
mod writer;

pub use copy::{Amount, Done, compare, copy, measure};
pub use engine::{Engine, KeyKind, MessageRow, Reader, Table, Tables, Visited, Write};
pub use foreign::engine_of;
pub use install::Work;
pub use lock::StoreLock;
pub use marker::Marker;
pub use offline::{OfflineStore, Opened};
pub use opening::{Label, Opening};
pub use place::{Files, Place, StoreOptions, copies_on_write, resolved};
pub use store::EmbeddedStore;
