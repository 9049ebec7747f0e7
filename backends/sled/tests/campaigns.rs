//! How large the store grows, and opening with much that is pending.

mod sled;

use sled::Sled;
use slipstream_conformance::campaign_tests;
use slipstream_store::Durability;

/// Runs of the journal's index are as long as usual: the room that they take counts.
const RUN: usize = 131_072;

/// The bound that `docs/sled.md` states, without what is owed, remembered and traced.
const BOUND: u64 = 64 << 20;

/// Likewise: sled uses the space of a backlog again, but not at once, so that its log grows by a half and levels off.
const GROWTH: u64 = 75;

campaign_tests!(Sled(Durability::Full, RUN), BOUND, GROWTH);
