//! Slipstream's store on PostgreSQL: a [`MessageStore`](slipstream_store::MessageStore) in the schema `slipstream` of a
//! database.
//!
//! Each commit is one statement, a function of the schema that does all of the work, so that a process that stops in its
//! middle holds no lock. Deliveries are bits, and the messages of a commit are one row: `schema/` says what the tables
//! hold. What an `Ok` is worth is up to the server: it is asked for its settings when the store is opened.
//!
//! Several processes may share a store, each as a member: `schema/9_shared.sql` says what they do beside commits.

mod address;
mod bits;
mod copies;
mod errors;
mod exchange;
mod fields;
mod guarantee;
mod hints;
mod holdings;
mod leaving;
mod link;
mod look;
mod making;
mod membership;
mod options;
mod pages;
mod plan;
mod pool;
mod pooler;
mod schema;
mod sequences;
mod shared;
mod store;
mod tls;
mod trace;
mod vacuum;
mod wake;
mod writer;

pub use holdings::PostgresHoldings;
pub use making::PostgresMaking;
pub use options::PostgresOptions;
pub use store::PostgresStore;
