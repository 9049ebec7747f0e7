//! The links of a load: those that publish and those that subscribe, each of which checks what comes to it.
//!
//! | file | subject |
//! | --- | --- |
//! | `publisher`, `subscriber` | the two kinds |
//! | `sequence` | each exactly once, and in order |
//! | `foreign` | messages of other senders |
//! | `shared` | what all of them share |
//! | `running` | connecting, running and closing one |

mod foreign;
mod publisher;
mod running;
mod sequence;
mod shared;
mod subscriber;

pub(super) use self::publisher::{Answers, Published, Publisher, Until};
pub(super) use self::running::{RunningLink, close, connect};
pub(super) use self::shared::Shared;
pub(super) use self::subscriber::{Deliveries, Received, Subscriber};
