//! An engine's tables that are open, before there is a store on them.

use slipstream_store::Guarantee;

use crate::files::lock::StoreLock;
use crate::files::marker::Marker;

/// An engine's tables, opened and locked, before a ledger is read from them.
#[derive(Debug)]
pub struct Opened<E> {
    /// The tables.
    pub engine: E,
    /// What an `Ok` of this store is worth.
    pub guarantee: Guarantee,
    /// Keeps others away; held until the store is closed.
    pub lock: StoreLock,
    /// Tells this opening from others.
    pub marker: Marker,
}
