//! What a relay has its store do. The command and the criterion bench of the engines run the same workloads.

mod backlog;
mod generator;
mod shape;

pub use self::backlog::BacklogReader;
pub use self::generator::Generator;
pub use self::shape::{ENVELOPE_BYTES, Shape};
