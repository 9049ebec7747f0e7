//! Syncs that fail.

use slipstream_store::{MessageStore, Result as StoreResult, StoreError};

use crate::harness::Harness;
use crate::power::disks::log::Unsynced;
use crate::power::life::Life;
use crate::power::trial::{CUTS_PER_WORKLOAD, STEPS, Trial, replay};
use crate::power::workload::Workload;

/// A step that says Ok though a sync failed is there after a cut all the same, also later on; one that fails says
/// Poisoned, and the store then takes no more until it is opened anew.
///
/// # Errors
/// What is wrong with the store.
pub async fn a_failed_sync_is_no_success<H: Harness>(trial: Trial<H>) -> Result<(), String> {
    for seed in trial.workloads() {
        let workload = Workload::generate(seed, STEPS).await;
        let whole = trial.whole_life(&workload).await.map_err(|problem| replay(seed, "without a fault", &problem))?;
        let (syncs, _) = whole.disk.counts(whole.opened_at);
        let mut chance = fastrand::Rng::with_seed(seed);
        for _ in 0..CUTS_PER_WORKLOAD {
            let (number, loses, unsynced) = (chance.u64(1..=syncs.max(1)), chance.bool(), chance.bool());
            let unsynced = if unsynced { Unsynced::Some(chance.u64(..)) } else { Unsynced::Lost };
            let fault = format!("sync {number} of {syncs} failed, its writes lost for good: {loses}");
            let mut life = Life::begin(&trial.harness, &workload, trial.nothing()).await?;
            life.disk.fail_sync(number, loses);
            let done = run_into_it(&trial, &workload, &mut life).await;
            let done = match done {
                Ok(()) => trial.verify(&workload, life.cut(life.disk.now(), unsynced)).await,
                failed => failed,
            };
            done.map_err(|problem| replay(seed, &fault, &problem))?;
        }
    }
    Ok(())
}

/// Goes on with the workload until the fault is met, and looks at what the store then says.
async fn run_into_it<H: Harness>(trial: &Trial<H>, workload: &Workload, life: &mut Life<'_, H>) -> Result<(), String> {
    while !life.is_done() {
        let (step, before) = (life.done, life.disk.faults_met());
        let answer = life.step().await;
        let met = life.disk.faults_met() > before;
        match answer {
            // It may have been a sync of what is durable elsewhere, as when a log is moved into its file.
            Ok(()) if met => {
                let at_once = life.cut(life.disk.now(), Unsynced::Lost);
                let kept = trial.verify(workload, at_once).await;
                kept.map_err(|lost| format!("step {step} said Ok though a sync failed in it, and after a cut {lost}"))?;
            }
            Ok(()) => {}
            Err(error) if life.disk.faults_met() == 0 => {
                return Err(format!("step {step} failed without a fault: {error}"));
            }
            // It may well fail to open, if that is the step.
            Err(_) if life.store().is_err() => return Ok(()),
            Err(StoreError::Poisoned(_)) => return stays_poisoned(life).await,
            Err(other) => return Err(format!("step {step}: expected Poisoned after a sync failed, got: {other}")),
        }
    }
    Ok(())
}

async fn stays_poisoned<H: Harness>(life: &mut Life<'_, H>) -> Result<(), String> {
    for what in ["a commit", "a second commit"] {
        let store = life.store().map_err(|error| error.to_string())?;
        let answer: StoreResult<_> = store.commit(std::sync::Arc::default()).await;
        if !matches!(answer, Err(StoreError::Poisoned(_))) {
            return Err(format!("{what} after a failed sync: expected Poisoned, got {answer:?}"));
        }
    }
    Ok(())
}
