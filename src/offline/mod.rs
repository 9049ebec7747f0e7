//! Work on a whole store that no relay has open: check, count, copy, rewrite, restore, move to another engine. All of it blocks.
//!
//! A store that several processes share is counted and looked over while relays have it open.
//!
//! None of it makes a store where there is none, and none changes the one that it reads: what is written is a new store,
//! in a staging folder beside its place ([`slipstream_embedded::Work`]), which is compared with the old one row by row before
//! one rename puts it there. A store moves into a shared one, or out of it, message by message (`transfer.rs`).

mod backup;
mod compact;
mod error;
mod located;
mod migrate;
mod progress;
mod restore;
mod shared;
#[cfg(test)]
mod tests;
mod transfer;

pub use backup::backup;
pub use compact::{Compacted, compact};
pub use error::OfflineError;
pub use located::Located;
pub use migrate::{Migrated, migrate};
pub use progress::{Progress, Silent};
pub use restore::{Allowed, Backup, restore};
pub use shared::{check_shared, shared_stats};
pub use transfer::{Transferred, from_shared, to_shared};
