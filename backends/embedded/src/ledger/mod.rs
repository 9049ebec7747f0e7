//! The ledger: what the writer keeps in memory of a store, as of the last commit.

mod ages;
pub(crate) mod blocks;
pub(crate) mod changes;
pub(crate) mod counters;
pub(crate) mod identities;
pub(crate) mod load;
pub(crate) mod peers;
pub(crate) mod stamps;
pub(crate) mod state;
pub(crate) mod tail;
