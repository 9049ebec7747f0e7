//! One engine in a process of its own, so that memory, processor time and bytes written are the engine's.
//!
//! | file | subject |
//! | --- | --- |
//! | `task` | what it is asked and what it answers |
//! | `serve` | the process |
//! | `procfs` | what the process has taken |
//! | `child` | the process as its starter sees it |

mod child;
mod procfs;
mod serve;
mod task;

pub(super) use self::child::Child;
pub use self::procfs::Memory;
pub use self::serve::serve;
pub use self::task::{Commits, Filled, Task, TaskResult, TurnedOver};
