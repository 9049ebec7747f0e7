//! The engines on the disk at hand: the engine of `slipstream bench store`.
//!
//! First the disk by itself, then every engine on it. Each engine runs in a process of its own, so that memory,
//! processor time and bytes written are its own, and so that it can be killed; the engines take turns in rounds, so
//! that whatever else the machine does hits all alike. All stores are new, in a temporary folder.
//!
//! | file | subject |
//! | --- | --- |
//! | `plan` | what is to be measured, and the room that it takes |
//! | `machine`, `disk` | where it is measured, and what the disk does by itself |
//! | `flow` | what a relay has its store do |
//! | `worker`, `procfs` | one engine in its process, and what that has taken |
//! | `child`, `rounds` | the processes, and their turns |
//! | `samples`, `figures` | what the rounds measured, and what that comes to |
//! | `advice` | the rule by which an engine is named |
//! | `table`, `page/` | the result as rows, and as one HTML page |

mod advice;
mod child;
mod disk;
mod figures;
mod flow;
mod machine;
mod page;
mod plan;
mod procfs;
mod rounds;
mod samples;
mod table;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use slipstream_store::{InvalidId, StoreError};

pub use self::advice::{Advice, Candidate, Measure, Score, advise};
pub use self::disk::{Disk, DiskFigures, DiskPlan, FileDisk, Synced, Verdict};
pub use self::figures::{Backlog, CommitFigures, EngineFigures, Report, Spread, Turnover};
pub use self::flow::{BacklogReader, ENVELOPE_BYTES, Flow, Shape};
pub use self::machine::{Filesystem, Machine};
pub use self::page::page;
pub use self::plan::Plan;
pub use self::procfs::Memory;
pub use self::rounds::Progress;
pub use self::table::{Row, number, rows};
pub use self::worker::{Answer, Commits, Filled, Task, TurnedOver, serve};
use crate::clock::Clock;

/// Messages of a batch, smallest first: a relay without load, and ever more of it.
pub const BATCHES: [u64; 4] = [1, 16, 256, 4096];

/// How many peers a message goes to.
pub const FAN_OUTS: [usize; 2] = [1, 10];

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreBenchError {
    /// There is too little room. Nothing was begun.
    #[error(
        "{}: this run takes up to {needed_mb} MB, and {free_mb} MB are free: choose another --path, fewer --engines or \
         fewer --messages",
        folder.display()
    )]
    NoRoom {
        /// Where.
        folder: PathBuf,
        /// What the run may take.
        needed_mb: u64,
        /// What there is.
        free_mb: u64,
    },
    /// A file or folder cannot be made, written or read.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The disk, or a pipe to a worker, failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An engine could not be measured. The others can: leave it out with `--engines`.
    #[error("{engine}: {fault}")]
    Engine {
        /// Which.
        engine: &'static str,
        /// Why.
        fault: String,
    },
    /// A worker said something else than was asked. This is a defect.
    #[error("the worker: {0}")]
    Worker(String),
    /// A store answered what cannot be: it is broken.
    #[error("{0}")]
    Wrong(String),
    /// It was told to stop.
    #[error("stopped")]
    Stopped,
    /// A name that was made here is not one. This is a defect.
    #[error(transparent)]
    Name(#[from] InvalidId),
    /// A histogram that was made here has bounds that it cannot have. This is a defect.
    #[error("the histogram: {0}")]
    Histogram(#[from] hdrhistogram::CreationError),
}

/// Measures the disk and every engine of the plan on it. `watch` is told before each step. What it makes is removed at
/// its end, however that comes.
///
/// # Errors
/// [`StoreBenchError`]
///
/// # Cancellation
/// Dropping the future kills the workers and removes the folder.
pub async fn run(plan: &Plan, clock: &dyn Clock, watch: &(dyn Fn(Progress) + Sync)) -> Result<Report, StoreBenchError> {
    plan.check_room()?;
    let started = clock.elapsed();
    let folder = tempfile::Builder::new()
        .prefix("slipstream-bench-")
        .tempdir_in(&plan.folder)
        .map_err(|error| StoreBenchError::File { path: plan.folder.clone(), error })?;
    let mut progress = rounds::Steps::new(plan, watch);
    progress.step("the disk");
    let disk_plan = plan.disk;
    let mut disk = on_disk(folder.path().join("disk"), move |disk, stop| disk::measure(disk, disk_plan, stop)).await?;
    let engines = rounds::measure(plan, folder.path(), &mut progress, &mut disk).await?;
    let machine = Machine::of(&plan.folder);
    let path = folder.path().to_owned();
    folder.close().map_err(|error| StoreBenchError::File { path, error })?;
    Ok(Report::new(plan, clock, started, machine, disk, engines))
}

/// Measures the disk by a new file, on a thread for what blocks; dropping the future stops it.
async fn on_disk<T: Send + 'static>(
    path: PathBuf,
    measure: impl FnOnce(&mut dyn Disk, &AtomicBool) -> Result<T, StoreBenchError> + Send + 'static,
) -> Result<T, StoreBenchError> {
    struct StopOnDrop(Arc<AtomicBool>);
    impl Drop for StopOnDrop {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let stop = StopOnDrop(Arc::default());
    let stopped = Arc::clone(&stop.0);
    let measuring = tokio::task::spawn_blocking(move || {
        let mut file = FileDisk::create(&path).map_err(|error| StoreBenchError::File { path: path.clone(), error })?;
        let figures = measure(&mut file, &stopped)?;
        std::fs::remove_file(&path)?;
        Ok(figures)
    });
    let figures = measuring.await.map_err(|error| StoreBenchError::Worker(format!("measuring the disk: {error}")))?;
    drop(stop);
    figures
}
