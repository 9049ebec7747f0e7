//! How large the store grows, and opening with much that is pending.

mod sqlite;

use slipstream_conformance::campaign_tests;
use slipstream_store::Durability;
use sqlite::Sqlite;

/// Runs of the journal's index are as long as usual: the room that they take counts.
const RUN: usize = 131_072;

/// The bound that `docs/sqlite.md` states, without what is owed, remembered and traced.
const BOUND: u64 = 64 << 20;

campaign_tests!(Sqlite(Durability::Full, RUN), BOUND);
