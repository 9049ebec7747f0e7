//! What goes over the links of a load: ids that say all about a message, and texts that are made and read without JSON.
//! Pure.

mod id;
mod message;

pub use self::id::Run;
pub(super) use self::id::{LEN, MAX_MESSAGES, MAX_PUBLISHERS, MAX_TIME, Mark};
pub(super) use self::message::{Scanner, Template, Text, tag, write_ack};
