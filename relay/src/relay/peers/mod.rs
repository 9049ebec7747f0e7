//! The peers of this relay: who is known, who may link, who is dialled, who is forgotten.
//!
//! | file | subject |
//! | --- | --- |
//! | `registry` | remembers, adopts and forgets peers, in the store first |
//! | `admission` | who gets a link that asks for one, and under which id |
//! | `claims` | which of the processes that share a store serves a peer |
//! | `dials`, `dialling` | who is dialled, and who turned out to be there; how that goes |
//! | `subscribers` | the applications that are configured |
//! | `topology` | who matches a message |
//! | `renewal` | the peers as other processes that share the store have made them |
//! | `outcome` | what became of what an operator wanted of a peer |
//! | `locks` | the changes to one peer follow each other |

mod admission;
mod claims;
mod dialling;
mod dials;
mod locks;
mod outcome;
mod registry;
mod renewal;
mod subscribers;
mod topology;

pub use outcome::{Declared, Forgotten};
pub use subscribers::Subscriber;

pub(super) use dials::{Dial, Dials};
pub(super) use locks::PeerLocks;
pub(super) use registry::{Registry, Why};
pub(super) use renewal::renew;
pub(super) use subscribers::Subscribers;
pub(super) use topology::{SharedTopology, Target};
