//! What a relay asks of its store at a time, so that a store is measured in batches and pages of that size.

use std::num::NonZeroU32;

use slipstream_relay::relay::StageLimits;
use slipstream_store::PageLimit;

/// How much a relay asks of its store at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Most messages that one commit takes in.
    pub(crate) batch: u64,
    /// The size of the pages in which a peer catches up.
    pub(crate) page: PageLimit,
    /// How much is purged at a time.
    pub(crate) purge_budget: NonZeroU32,
}

impl Default for Limits {
    /// Those of a relay with its default settings.
    fn default() -> Self {
        let StageLimits { batch_operations, page, purge_budget, .. } = StageLimits::default();
        Self { batch: batch_operations as u64, page, purge_budget }
    }
}
