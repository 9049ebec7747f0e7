//! The conformance suite: what every [`MessageStore`](slipstream_store::MessageStore) must pass.
//!
//! A store's author implements [`Harness`], one method, and writes [`conformance_tests!`] once, or
//! [`shared_conformance_tests!`] for a store that several processes share. Every case becomes a test of its own with a
//! fresh store, and cites the clauses of the contract that it checks. `docs/writing-a-store.md` tells the whole way.
//!
//! - [`ModelStore`] is the executable specification. Seeded batches run on a store and on it in lockstep.
//! - [`FaultStore`] wraps any store and makes chosen calls fail or wait, for tests of whatever uses a store.
//! - `power_loss_tests!`, with the feature `power-loss`, puts a store on a disk that forgets what was not synced.
//! - [`campaigns`] are longer runs, with a length and a bound of the store's own.
//! - [`fixture`] is the vocabulary of the cases, for a store's own tests as well.
//! - [`cases`](fn@cases) is the list at run time. The tests of this crate run it on stores that are broken on purpose.
//!
//! Everything here is for tests: it says what it finds by panicking, as the standard library's assertions do.
#![expect(clippy::expect_used, clippy::panic, reason = "a test suite says what it finds by panicking")]

pub mod campaigns;
pub mod cases;
mod fault;
pub mod fixture;
mod harness;
mod model;
#[cfg(all(feature = "power-loss", target_os = "linux"))]
pub mod power;

pub use cases::lockstep::history::{History, history};
pub use cases::{Case, Clause, cases, shared_cases};
pub use fault::{Call, FaultStore, Faults, Held, When};
pub use harness::{AfterACut, FlippedBits, Harness, ModelHarness, Sandbox, SharedModelHarness, run};
pub use model::{ModelMedium, ModelStore};

/// The code of the guide for authors, so that it stays true.
#[cfg(doctest)]
#[doc = include_str!("../../docs/writing-a-store.md")]
mod guide {}
