//! Random steps on a store and on the model, compared after each.
//!
//! `SLIPSTREAM_LOCKSTEP_CASES` says how many runs there are (64 unless set), `SLIPSTREAM_LOCKSTEP_SEED` where they
//! begin (0 unless set). A failure names its seed and the shortest steps that were found to fail; with the same seed
//! they come again.

pub mod history;
pub(super) mod pair;
pub(super) mod steps;

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
    let (sandbox, steps) = (&sandbox, steps::sequence_of_steps());
    run(steps, async |run, steps| {
        let mut pair = Pair::open(sandbox, sandbox.beside(&format!("lockstep-{run}"))).await?;
        for step in &steps {
            pair.take(step).await?;
        }
        pair.end().await
    });
}

/// Draws steps again and again, and takes them. It blocks.
pub(super) fn run<S: Strategy>(steps: S, take: impl AsyncFn(u32, S::Value) -> Checked) {
    let runs = from_environment("SLIPSTREAM_LOCKSTEP_CASES").unwrap_or(64);
    let seed = from_environment("SLIPSTREAM_LOCKSTEP_SEED").unwrap_or(0);
    let config = Config {
        cases: u32::try_from(runs).unwrap_or(u32::MAX),
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let run = std::cell::Cell::new(0_u32);
    let ended = block_in_place(|| {
        runner.run(&steps, |steps| {
            run.set(run.get() + 1);
            Handle::current().block_on(take(run.get(), steps))
        })
    });
    if let Err(failure) = ended {
        panic!("with SLIPSTREAM_LOCKSTEP_SEED={seed} the model (left) and the store (right) part: {failure}");
    }
}
