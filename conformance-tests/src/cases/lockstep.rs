//! Random steps on a store and on the model, compared after each.
//!
//! `SLIPSTREAM_LOCKSTEP_CASES` says how many runs there are (64 unless set), `SLIPSTREAM_LOCKSTEP_SEED` where they
//! begin (0 unless set). Several are under way at once, for a store mostly waits. A failure names its seed and the shortest
//! steps that were found to fail; with the same seed they come again.

pub mod history;
pub(super) mod pair;
pub(super) mod steps;

use std::sync::atomic::{AtomicU32, Ordering};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use crate::harness::{Harness, Sandbox};
use pair::{Checked, Pair};

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name}: expected a number, got {text:?}")))
}

/// C1, C3, C4, C5, C6, C7, C9, C10, C12: whatever is done, a store answers as the model does.
pub async fn a_store_answers_as_the_model_does<H: Harness>(sandbox: Sandbox<H>) {
    let sandbox = &sandbox;
    run(steps::sequence_of_steps, async |run, steps| {
        let mut pair = Pair::open(sandbox, sandbox.beside(&format!("lockstep-{run}"))).await?;
        for step in &steps {
            pair.take(step).await?;
        }
        pair.end().await
    });
}

/// How many runs are under way at once.
const LANES: u8 = 4;

/// Draws steps again and again, and takes them: each time with another number. It blocks.
pub(super) fn run<S: Strategy>(steps: impl Fn() -> S + Sync, take: impl AsyncFn(u32, S::Value) -> Checked + Sync) {
    let runs = from_environment("SLIPSTREAM_LOCKSTEP_CASES").unwrap_or(64).div_ceil(LANES.into());
    let seed = from_environment("SLIPSTREAM_LOCKSTEP_SEED").unwrap_or(0);
    let numbers = AtomicU32::new(1);
    let runtime = Handle::current();
    let failures: Vec<String> = block_in_place(|| {
        std::thread::scope(|scope| {
            let begin = |lane| {
                let mut runner = runner(u32::try_from(runs).unwrap_or(u32::MAX), seed, lane);
                let (steps, take, numbers, runtime) = (&steps, &take, &numbers, &runtime);
                scope.spawn(move || {
                    let ended = runner
                        .run(&steps(), |steps| runtime.block_on(take(numbers.fetch_add(1, Ordering::Relaxed), steps)));
                    ended.err().map(|failure| failure.to_string())
                })
            };
            let lanes: Vec<_> = (0..LANES).map(begin).collect();
            lanes.into_iter().filter_map(|lane| lane.join().expect("a failure is returned")).collect()
        })
    });
    if let [failure, ..] = &*failures {
        panic!("with SLIPSTREAM_LOCKSTEP_SEED={seed} the model (left) and the store (right) part: {failure}");
    }
}

/// What draws the steps of a lane.
fn runner(runs: u32, seed: u64, lane: u8) -> TestRunner {
    let config = Config { cases: runs, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8] = lane;
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}
