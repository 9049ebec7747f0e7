//! The lists of the configuration, whose entries have fields: the peers to dial, and the subscribers.
//!
//! | file | subject |
//! | --- | --- |
//! | `list` | a whole list: JSON, its base64, or tables of the settings file |
//! | `entry` | one entry, and its fields |
//! | `peers`, `subscribers` | what an entry of each list says |
//! | `credentials` | what an entry of the auth file says |

mod credentials;
mod entry;
pub(super) mod list;
mod peers;
mod subscribers;

pub(super) use credentials::{credential, strange};
pub(super) use list::List;
pub(super) use peers::PEERS;
pub use peers::{MAX_PEERS, encode_peers};
pub use subscribers::MAX_SUBSCRIBERS;
pub(super) use subscribers::SUBSCRIBERS;
