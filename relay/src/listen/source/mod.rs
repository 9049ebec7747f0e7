//! What is kept of the addresses that connections come from: how many each has.
//!
//! | file | subject |
//! | --- | --- |
//! | `address` | what counts as one address |
//! | `places` | places for connections, and those who wait for one |
//! | `sources` | the places of each address |

mod address;
mod places;
mod sources;

pub(super) use address::Source;
pub(super) use places::{Places, Queued, Slot};
pub(super) use sources::{Sources, Visit};
