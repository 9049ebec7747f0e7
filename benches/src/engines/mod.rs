//! The engines side by side on the disk at hand, without a relay: what `slipstream bench store` does.
//!
//! First the disk by itself, then every engine on it. Each engine runs in a process of its own, so that memory,
//! processor time and bytes written are its own, and so that it can be killed; the engines take turns in rounds, so
//! that whatever else the machine does hits all alike. All stores are new, in a temporary folder.
//!
//! Nothing here knows an engine: the caller names them, opens their stores and starts their processes.
//!
//! | file | subject |
//! | --- | --- |
//! | `plan` | what is to be measured, and the room that it takes |
//! | `host` | what is needed of the program around it |
//! | `machine`, `disk/` | where it is measured, and what the disk does by itself |
//! | `workload/` | what a relay has its store do |
//! | `worker/` | one engine in its process, and what that has taken |
//! | `rounds` | the engines' turns |
//! | `samples`, `figures` | what the rounds measured, and what that comes to |
//! | `advice` | the rule by which an engine is named |
//! | `report` | the result; `table`, `page/`: as rows, and as one HTML page |

mod advice;
mod disk;
mod error;
mod figures;
mod host;
mod machine;
mod number;
mod page;
mod plan;
mod report;
mod rounds;
mod samples;
mod table;
mod worker;
mod workload;

use std::time::Instant;

pub use self::advice::{Advice, Candidate, Measure, Score, advise};
pub use self::disk::{Disk, DiskFigures, DiskPlan, FileDisk, Synced, Verdict};
use self::disk::{measure, on_disk};
pub use self::error::ComparisonError;
pub use self::figures::{Backlog, CommitFigures, EngineFigures, Spread, Turnover};
pub use self::host::Host;
pub use self::machine::{Filesystem, Machine};
pub use self::number::number;
pub use self::page::page;
pub use self::plan::{BATCHES, Engine, FAN_OUTS, Plan};
pub use self::report::Report;
pub use self::rounds::Progress;
use self::rounds::Steps;
pub use self::table::{Row, rows};
pub use self::worker::{Commits, Filled, Memory, Task, TaskResult, TurnedOver, serve};
pub use self::workload::{BacklogReader, ENVELOPE_BYTES, Generator, Shape};

/// Measures the disk and every engine of the plan on it. `host` is the program around it; `watch` is told before each
/// step. What it makes is removed at its end, however that comes.
///
/// # Errors
/// [`ComparisonError`]
///
/// # Cancellation
/// Dropping the future kills the workers and removes the folder.
pub async fn run(plan: &Plan, host: &dyn Host, watch: &(dyn Fn(Progress) + Sync)) -> Result<Report, ComparisonError> {
    plan.check_room(host)?;
    let started = Instant::now();
    let folder = tempfile::Builder::new()
        .prefix("slipstream-bench-")
        .tempdir_in(&plan.folder)
        .map_err(|error| ComparisonError::File { path: plan.folder.clone(), error })?;
    let mut progress = Steps::new(plan, watch);
    progress.step("the disk");
    let disk_plan = plan.disk;
    let mut disk = on_disk(folder.path().join("disk"), move |disk, stop| measure(disk, disk_plan, stop)).await?;
    let engines = rounds::measure(plan, host, folder.path(), &mut progress, &mut disk).await?;
    let machine = Machine::of(&plan.folder);
    let path = folder.path().to_owned();
    folder.close().map_err(|error| ComparisonError::File { path, error })?;
    Ok(Report::new(plan, host.date(), started.elapsed(), machine, disk, engines))
}
