//! Cuts at any time: while a store is made, works, purges and closes, and while it recovers from earlier cuts.

use crate::harness::Harness;
use crate::power::disks::log::Unsynced;
use crate::power::life::Life;
use crate::power::trial::{CUTS_PER_WORKLOAD, STEPS, Trial, replay};
use crate::power::workload::Workload;

/// Most cuts in a row.
const ROW: u32 = 4;

/// A power cut that loses all that was not synced loses nothing that was confirmed, and leaves no batch in part.
///
/// # Errors
/// What is wrong with the store.
pub async fn what_is_confirmed_survives<H: Harness>(trial: Trial<H>) -> Result<(), String> {
    cut_anywhere(&trial, |_| Unsynced::Lost).await
}

/// Likewise if some writes reached the disk that were not synced, in any order, and the last of them in part.
///
/// # Errors
/// What is wrong with the store.
pub async fn unsynced_writes_that_survive_do_no_harm<H: Harness>(trial: Trial<H>) -> Result<(), String> {
    cut_anywhere(&trial, |chance| Unsynced::Some(chance.u64(..))).await
}

async fn cut_anywhere<H: Harness>(
    trial: &Trial<H>,
    unsynced: fn(&mut fastrand::Rng) -> Unsynced,
) -> Result<(), String> {
    for seed in trial.workloads() {
        let workload = Workload::generate(seed, STEPS).await;
        let life = trial.whole_life(&workload).await.map_err(|problem| replay(seed, "without a cut", &problem))?;
        let (mut chance, changes) = (fastrand::Rng::with_seed(seed), life.disk.now());
        for _ in 0..CUTS_PER_WORKLOAD {
            let (after, unsynced) = (chance.usize(..=changes), unsynced(&mut chance));
            let done = trial.verify(&workload, life.cut(after, unsynced)).await;
            let cut = format!("cut after {after} of {changes} changes, {unsynced:?} of what was not synced");
            done.map_err(|problem| replay(seed, &cut, &problem))?;
        }
    }
    Ok(())
}

/// A store that is cut off while it recovers, again and again, recovers.
///
/// # Errors
/// What is wrong with the store.
pub async fn cuts_during_recovery_do_no_harm<H: Harness>(trial: Trial<H>) -> Result<(), String> {
    for seed in trial.workloads() {
        let workload = Workload::generate(seed, STEPS).await;
        let first = trial.whole_life(&workload).await.map_err(|problem| replay(seed, "without a cut", &problem))?;
        let mut chance = fastrand::Rng::with_seed(seed);
        for _ in 0..CUTS_PER_WORKLOAD / u64::from(ROW / 2) {
            let mut told = Vec::new();
            let done = cut_in_a_row(&trial, &workload, &first, &mut chance, &mut told).await;
            done.map_err(|problem| replay(seed, &told.join("; "), &problem))?;
        }
    }
    Ok(())
}

async fn cut_in_a_row<H: Harness>(
    trial: &Trial<H>,
    workload: &Workload,
    first: &Life<'_, H>,
    chance: &mut fastrand::Rng,
    told: &mut Vec<String>,
) -> Result<(), String> {
    let changes = first.disk.now();
    let mut after = chance.usize(..=changes);
    told.push(format!("cut after {after} of {changes} changes"));
    let mut remains = first.cut(after, some(chance));
    for _ in 0..chance.u32(1..ROW) {
        let Some(mut life) = trial.begin_after_a_cut(workload, remains).await? else { return Ok(()) };
        trial.goes_on();
        // Some recover only when they are written to.
        let opened_at = life.opened_at;
        let until =
            if chance.bool() { opened_at } else { life.go_on(life.done + 1).await.map(|()| life.disk.now())? };
        after = chance.usize(..=until);
        told.push(format!("then after {after} of {until} changes, of which {opened_at} were the opening"));
        remains = life.cut(after, some(chance));
    }
    trial.verify(workload, remains).await
}

fn some(chance: &mut fastrand::Rng) -> Unsynced {
    if chance.bool() { Unsynced::Lost } else { Unsynced::Some(chance.u64(..)) }
}
