//! What a case of the power-loss tests is given: the store, the disks, how many cuts, and from which seed.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;

use crate::harness::{AfterACut, Harness};
use crate::power::disks::mounted::Disks;
use crate::power::life::{Failure, Life, Remains};
use crate::power::workload::Workload;

/// How many cuts (or faults) there are in each test unless [`CUTS`] says otherwise.
pub(super) const SHORT: u64 = 40;

const CUTS: &str = "SLIPSTREAM_POWER_CUTS";
const SEED: &str = "SLIPSTREAM_POWER_SEED";

/// How many cuts one workload gets.
pub(super) const CUTS_PER_WORKLOAD: u64 = 20;

/// A store that may fail to open after a cut does so at most once in so many.
const SELDOM: u64 = 10;

/// How many steps a workload has.
pub(super) const STEPS: usize = 30;

/// What a case is given.
#[derive(Debug)]
pub struct Trial<H> {
    pub(super) harness: H,
    pub(super) disks: Arc<Disks>,
    pub(super) cuts: u64,
    pub(super) seed: u64,
    /// How often the store did not open, if that is excused.
    unopened: AtomicU64,
    progress: SyncSender<()>,
}

/// A seed for each cut of a test of somebody's own: as many as `SLIPSTREAM_POWER_CUTS` says, or else so many, from
/// `SLIPSTREAM_POWER_SEED` on.
///
/// # Panics
/// If one of them is no number.
pub fn seeds(otherwise: u64) -> Range<u64> {
    let first = number(SEED, 0);
    first..first + number(CUTS, otherwise)
}

fn number(name: &str, otherwise: u64) -> u64 {
    let set = std::env::var(name).ok();
    set.map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name}: expected a number, got {text:?}")))
}

impl<H: Harness> Trial<H> {
    /// A trial with as many cuts, and from the seed, that the environment says.
    ///
    /// # Panics
    /// If one of them is no number.
    pub(super) fn new(harness: H, disks: Arc<Disks>, progress: SyncSender<()>) -> Self {
        let (cuts, seed) = (number(CUTS, SHORT), number(SEED, 0));
        Self { harness, disks, cuts, seed, unopened: AtomicU64::new(0), progress }
    }

    /// The seeds of the workloads, each of which gets [`CUTS_PER_WORKLOAD`].
    pub(super) fn workloads(&self) -> impl Iterator<Item = u64> + use<H> {
        self.seed..self.seed + self.cuts.div_ceil(CUTS_PER_WORKLOAD)
    }

    /// An empty disk.
    pub(super) fn nothing(&self) -> Remains {
        Remains::nothing(&self.disks)
    }

    /// Says that something went on.
    pub(super) fn goes_on(&self) {
        // If a sign is still waiting, one is enough.
        self.progress.try_send(()).ok();
    }

    /// A whole life of a store on an empty disk, without any fault.
    pub(super) async fn whole_life<'a>(&'a self, workload: &'a Workload) -> Result<Life<'a, H>, String> {
        let mut life = Life::begin(&self.harness, workload, self.nothing()).await?;
        life.go_on(workload.len()).await?;
        self.goes_on();
        Ok(life)
    }

    /// Opens the store on what remains, if nothing more goes wrong, and goes on for a few steps.
    pub(super) async fn verify(&self, workload: &Workload, remains: Remains) -> Result<(), String> {
        let Some(mut life) = self.begin_after_a_cut(workload, remains).await? else { return Ok(()) };
        life.repeat().await?;
        life.go_on(life.done + 3).await?;
        life.end().await?;
        self.goes_on();
        Ok(())
    }

    /// Opens the store on what a cut has left. There is none if it does not open and the harness says that this may
    /// be; it may be now and then only.
    pub(super) async fn begin_after_a_cut<'a>(
        &'a self,
        workload: &'a Workload,
        remains: Remains,
    ) -> Result<Option<Life<'a, H>>, String> {
        match (Life::begin(&self.harness, workload, remains).await, self.harness.after_a_cut()) {
            (Err(Failure::DoesNotOpen(problem)), AfterACut::MayNotOpen(why)) => {
                let unopened = self.unopened.fetch_add(1, Ordering::Relaxed) + 1;
                if unopened * SELDOM > self.cuts {
                    let cuts = self.cuts;
                    return Err(format!(
                        "{problem}\nIt did so {unopened} times in {cuts} cuts; excused was that {why}"
                    ));
                }
                self.goes_on();
                Ok(None)
            }
            (begun, _) => Ok(Some(begun?)),
        }
    }
}

/// How to come to a failure again.
pub(super) fn replay(seed: u64, what: &str, problem: &str) -> String {
    replay_of(seed, CUTS_PER_WORKLOAD, what, problem)
}

pub(super) fn replay_of(seed: u64, cuts: u64, what: &str, problem: &str) -> String {
    format!("{what}: {problem}\nReplay it with {SEED}={seed} {CUTS}={cuts}")
}
