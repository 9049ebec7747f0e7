//! Moves what one store holds into an empty other one, whatever kinds the two are.
//!
//! The source tells what it holds ([`Holdings`](slipstream_store::Holdings)); the target is any
//! [`MessageStore`](slipstream_store::MessageStore), which is given the operations that bring it there. So a target needs
//! nothing for this that a relay does not need. Afterwards both tell what they hold, and are compared.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `cursor.rs` | the pages of a source as one stream |
//! | `marks.rs` | stamps, which come with messages that are then forgotten |
//! | `operations.rs` | a message and its deliveries as operations |
//! | `target.rs` | the store that is filled, and whom it remembers meanwhile |
//! | `transfer.rs` | in which order they are committed |
//! | `compare.rs` | whether two stores hold the same |
//!
//! # What a target is not told
//!
//! Sequences are a store's own: their order goes, their numbers do not. Of messages that are settled this goes differently:
//!
//! - A trace that was forgotten, of a message whose identity is remembered, is told as one without deliveries, of the type
//!   `FORGOTTEN`. It hides the trace, not the dead letter, of what was imported with this identity before.
//! - What a peer had from its alias counts as sent to the peer; that it was sent to the alias is not told any more, nor, of an
//!   imported dead letter, that the alias had it.

mod compare;
mod cursor;
mod marks;
mod operations;
mod target;
mod transfer;

pub use compare::{Compared, compare};
pub use transfer::{Transferred, transfer};

/// Is told of more messages as they are done.
pub type Done<'d> = dyn FnMut(u64) + 'd;
