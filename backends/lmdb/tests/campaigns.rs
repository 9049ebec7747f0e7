//! How large the store grows, and opening with much that is pending.

mod lmdb;

use lmdb::Lmdb;
use slipstream_conformance::campaign_tests;
use slipstream_store::Durability;

/// Runs of the journal's index are as long as usual: the room that they take counts.
const RUN: usize = 131_072;

/// The bound that `docs/lmdb.md` states, without what is owed, remembered and traced.
const BOUND: u64 = 32 << 20;

campaign_tests!(Lmdb(Durability::Full, RUN), BOUND);
