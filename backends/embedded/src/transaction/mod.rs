//! Transactions: a batch or a purge applied on top of the ledger, and the write set that it comes to.

mod adoption;
pub(crate) mod apply;
mod deliveries;
mod imports;
mod journal_entry;
mod journal_trim;
mod overlay;
pub(crate) mod purge;
mod recording;
pub(crate) mod removal;
pub(crate) mod write_set;
