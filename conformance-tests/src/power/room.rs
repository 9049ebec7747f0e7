//! A disk that is full from one write on.

use slipstream_store::StoreError;

use super::mounted::Mounted;
use super::{Life, Story, Trial, Unsynced, replay_of};
use crate::Harness;

/// How many steps these stories have: there is one life for each write.
const STEPS: usize = 10;

/// About how many writes such a story takes. With that many lives each of them is the first that fails.
const WRITES: u64 = 400;

/// How often a store may say that it is full or busy once there is room again.
const TRIES: u32 = 10;

/// Wherever the disk becomes full, the store says so and has done nothing, or refuses further work; once there is
/// room, it goes on, and nothing that it confirmed is lost.
///
/// # Errors
/// What is wrong with the store.
pub async fn a_full_disk_loses_nothing<H: Harness>(trial: Trial<H>) -> Result<(), String> {
    let stories = trial.cuts.div_ceil(WRITES).max(1);
    let lives = trial.cuts.div_ceil(stories).max(1);
    for seed in trial.seed..trial.seed + stories {
        let replay = |what: &str, problem: &str| replay_of(seed, lives, what, problem);
        let story = Story::draw(seed, STEPS).await;
        let whole = trial.whole_life(&story).await.map_err(|problem| replay("without a fault", &problem))?;
        let (_, writes) = whole.disk.counts(0);
        // Every write in its turn, where so many lives are wished for.
        let stride = writes.div_ceil(lives).max(1);
        for number in (seed % stride..writes).step_by(usize::try_from(stride).unwrap_or(usize::MAX)) {
            let only_growth = (number / stride + seed) % 2 == 0;
            let fault = format!("full from write {number} of {writes}, only for growth: {only_growth}");
            let done = fill_up(&trial, &story, number, only_growth).await;
            done.map_err(|problem| replay(&fault, &problem))?;
        }
    }
    Ok(())
}

async fn fill_up<H: Harness>(trial: &Trial<H>, story: &Story, number: u64, only_growth: bool) -> Result<(), String> {
    let (remains, disk) = (trial.nothing(), Mounted::new(&trial.nothing().image));
    disk.fill_up(number, only_growth);
    let mut life = Life::begin_on(disk, &trial.harness, story, remains).await?;
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
    trial.verify(story, life.cut(life.disk.now(), Unsynced::Lost)).await
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
