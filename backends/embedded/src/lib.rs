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
//! | packs | first sequence → messages with their outgoing texts; removed when nobody is owed any of them |
//! | owed | peer number, block → a bit for each pending delivery |
//! | notes | peer number, sequence → attempts, and where a redriven delivery came from |
//! | dead | sequence, peer id → a dead letter with its whole message, so that the message itself can go |
//! | dead_counts | peer id → how many dead letters it has, by the class of their reason |
//! | redriven | first sequence, peer id → the sequence that the delivery was last redriven under |
//! | seen | stamp epoch, block → a bit for each stamp that was seen, and when the last was |
//! | blocks | block → a bit for each message that is stored and each at which a pack begins, the earliest expiry, the latest change |
//! | journal | commit number → what the commit recorded and settled |
//! | runs | run, hash → the commits whose journal rows tell of an identity, or of neighbouring deliveries |
//! | blocks, behind the last | the counters: there, since the last block is written with them |
//! | peers | the remembered peers |
//!
//! The messages of a commit share rows (`rows/pack.rs`): an engine that writes one row of 56 KiB has less to do than
//! one that writes a hundred rows. What a purge or a settlement takes out is only noted in the bits of its block; a
//! pack goes soon after its last message, with its neighbours, and a purge shortens those that little is left of.
//!
//! No random key is ever written with a message: identities are looked up in memory, in a table of 22 bytes each that is
//! rebuilt from the journal at opening. The journal is also what traces are read from. Its index gathers in memory, 8
//! bytes an entry, and is written sorted, in runs of 131,072 entries: a trace reads a row of each run, and the few rows of
//! the journal that they name (`rows/index.rs`, `ledger/tail.rs`, `reading/journal.rs`).
//!
//! # One way through
//!
//! A commit goes to the writer thread, which applies it as a *transaction* on top of the *ledger*, its memory of the
//! store. The transaction comes to a *write set*: the engine makes its writes durable in one transaction of its own,
//! and only then the ledger applies the changes. A write that fails leaves memory and medium as they were. Reader
//! threads each have a view of their own on the tables and never wait for the writer.
//!
//! # Where things are
//!
//! | folder | what is in it |
//! | --- | --- |
//! | `backend.rs` | an engine as a program chooses it when it runs |
//! | `engine.rs` | what an engine supplies: ordered tables, atomic writes, snapshots |
//! | `rows/` | the tables by name, their keys and values, and the bytes of each |
//! | `ledger/` | what the writer keeps in memory as of the last commit, and reading it at opening |
//! | `transaction/` | a batch or a purge applied on top of the ledger, and the write set that it comes to |
//! | `reading/` | pages, traces and checks, read from the tables as of one commit |
//! | `store/` | the threads and queues of an open store; whole stores, which commands copy and compare |
//! | `files/` | where a store is and who may open it; staging, by which whatever is made gets its name |
//!
//! `rows/` knows none of the other folders; `ledger/` and `reading/` read rows from the tables of an `Engine`,
//! `transaction/` works on the ledger, and `store/` brings them together with the files.

mod backend;
mod engine;
mod files;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod ledger;
#[cfg(test)]
mod memory;
mod reading;
mod rows;
mod store;
#[cfg(test)]
mod tests;
mod transaction;

pub use backend::Backend;
pub use engine::{Engine, Reader, Tables, Visited, Write};
pub use files::folders::{copies_on_write, resolved};
pub use files::foreign::engine_of;
pub use files::lock::StoreLock;
pub use files::marker::Marker;
pub use files::names::{Files, beside};
pub use files::opening::{Label, Opening};
pub use files::place::{Place, StoreOptions};
pub use files::staging::{Staging, Work};
pub use files::system;
pub use reading::holdings::TableHoldings;
pub use rows::table::{KeyKind, MessageRow, Table};
pub use store::copy::{Amount, Done, compare, copy, measure};
pub use store::embedded::EmbeddedStore;
pub use store::offline::{OfflineStore, set_whole_from};
pub use store::opened::Opened;
