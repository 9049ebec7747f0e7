//! A disk that is full from one write on.

use std::sync::Arc;

use bytes::Bytes;
use slipstream_store::{Depth, MessageStore, Record, StoreError};

use crate::fixture::{commit, plain, put, remember_all};
use crate::harness::Harness;
use crate::power::disks::disk::Full;
use crate::power::disks::log::Unsynced;
use crate::power::disks::mounted::Mounted;
use crate::power::life::Life;
use crate::power::trial::{Trial, replay_of};
use crate::power::workload::Workload;

/// How many steps these workloads have: there is one life for each write.
const STEPS: usize = 10;

/// About how many writes such a workload takes. With that many lives each of them is the first that fails.
const WRITES: u64 = 400;

/// How often a store may say that it is full or busy once there is room again.
const TRIES: u32 = 10;

/// Wherever the disk becomes full, the store says so and has done nothing, or refuses further work; once there is
/// room, it goes on, and nothing that it confirmed is lost.
///
/// # Errors
/// What is wrong with the store.
pub async fn a_full_disk_loses_nothing<H: Harness>(trial: Trial<H>) -> Result<(), String> {
    let workloads = trial.cuts.div_ceil(WRITES).max(1);
    let lives = trial.cuts.div_ceil(workloads).max(1);
    for seed in trial.seed..trial.seed + workloads {
        let replay = |what: &str, problem: &str| replay_of(seed, lives, what, problem);
        let workload = Workload::generate(seed, STEPS).await;
        let whole = trial.whole_life(&workload).await.map_err(|problem| replay("without a fault", &problem))?;
        let (_, writes) = whole.disk.counts(0);
        // Every write in its turn, if so many lives are wished for.
        let stride = writes.div_ceil(lives).max(1);
        for number in (seed % stride..writes).step_by(usize::try_from(stride).unwrap_or(usize::MAX)) {
            let full = match (number / stride + seed) % 4 {
                0 | 2 => Full::Growth,
                1 => Full::Everything,
                _ => Full::Quota,
            };
            let fault = format!("full from write {number} of {writes}: {full:?}");
            let done = fill_up(&trial, &workload, number, full).await;
            done.map_err(|problem| replay(&fault, &problem))?;
        }
    }
    Ok(())
}

async fn fill_up<H: Harness>(trial: &Trial<H>, workload: &Workload, number: u64, full: Full) -> Result<(), String> {
    let (remains, disk) = (trial.nothing(), Mounted::new(&trial.nothing().image));
    disk.fill_up(number, full);
    let mut life = Life::begin_on(disk, &trial.harness, workload, remains).await?;
    while !life.is_done() {
        let step = life.done;
        let error = match life.step().await {
            Ok(()) => continue,
            Err(error) => error,
        };
        if life.disk.faults_met() == 0 {
            return Err(format!("step {step} failed without a fault: {error}"));
        }
        match error {
            StoreError::Full(_) | StoreError::Busy(_) if life.store().is_ok() => {
                life.holds(step).await.map_err(|held| format!("step {step} said {error}, and yet {held}"))?;
                life.disk.make_room();
                try_again(&mut life, step).await?;
            }
            StoreError::Poisoned(_) | StoreError::Full(_) | StoreError::Busy(_) => {
                life.disk.make_room();
                life.open_anew().await?;
            }
            other => return Err(format!("step {step}: expected Full, Busy or Poisoned, got: {other}")),
        }
    }
    life.disk.make_room();
    trial.verify(workload, life.cut(life.disk.now(), Unsynced::Lost)).await
}

async fn try_again<H: Harness>(life: &mut Life<'_, H>, step: usize) -> Result<(), String> {
    for _ in 1..TRIES {
        match life.step().await {
            Ok(()) => return life.holds(step + 1).await,
            Err(StoreError::Full(_) | StoreError::Busy(_)) => {}
            Err(StoreError::Poisoned(_)) => return life.open_anew().await,
            Err(other) => return Err(format!("step {step} with room again: {other}")),
        }
    }
    Err(format!("step {step} still does not work with room again"))
}

/// If the user has had as much as a quota allows, a store whose engine can go on after that says that it is full, as
/// often as it is asked, and goes on once there is room.
///
/// # Panics
/// If it does not.
pub async fn a_quota_is_a_full_disk<S: MessageStore>(disk: &Mounted, store: &S) {
    const TRIES: u64 = 10_000;
    remember_all(store, &["a"]).await;
    let text: Bytes = vec![b'x'; 64 << 10].into();
    let big = |number: u64| put(Record { text: text.clone(), ..plain(&format!("m{number}"), &["a"]) });
    let mut taken = 0;
    for filled in 1..=3 {
        disk.fill_up(0, Full::Quota);
        let mut refused = 0;
        for _ in 0..TRIES {
            match store.commit(Arc::new(vec![big(taken)].into())).await {
                Ok(_) => taken += 1,
                Err(StoreError::Full(_)) => refused += 1,
                Err(other) => panic!("filled {filled} times: {other}"),
            }
            if refused == 3 {
                break;
            }
        }
        assert_eq!(refused, 3, "filled {filled} times");
        disk.make_room();
        commit(store, vec![big(taken)]).await;
        taken += 1;
    }
    assert_eq!(store.stats().await.expect("stats").pending, taken);
    assert_eq!(store.check(Depth::Full).await, Ok(Vec::new()));
}
