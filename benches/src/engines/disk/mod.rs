//! The disk by itself, before any engine: how fast it writes, how fast it syncs, and whether that can be true.

mod figures;
mod file;
mod measure;

pub use self::figures::{DiskFigures, Synced, Verdict};
pub(super) use self::file::on_disk;
pub use self::file::{Disk, FileDisk};
pub use self::measure::DiskPlan;
pub(super) use self::measure::{measure, synced_per_second};
