//! What is kept of the addresses that connections come from: how many each has, and how often its credentials failed.
//!
//! | file | subject |
//! | --- | --- |
//! | `address` | what counts as one address |
//! | `places` | places for connections, and those who wait for one |
//! | `sources` | the places of each address |
//! | `failures` | credentials that failed, and how long the next one waits |
//! | `recent` | a table of what happened of late |

mod address;
mod failures;
mod places;
mod recent;
mod sources;

pub(super) use address::Source;
pub use failures::FailureLimits;
pub(super) use failures::Failures;
pub(super) use places::{Places, Queued, Slot};
pub(super) use sources::{Sources, Visit};
