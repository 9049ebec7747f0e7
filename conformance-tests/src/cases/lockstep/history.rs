//! Stores in which random things have happened, for tests that begin with one.

use std::path::PathBuf;

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use super::pair::Pair;
use super::steps;
use crate::{Harness, Sandbox};

/// A closed store in which random things have happened.
#[derive(Debug)]
pub struct History {
    /// Where it is.
    pub place: PathBuf,
    /// How many messages there may be; they are called by their numbers.
    pub messages: u8,
    /// Which peers may occur.
    pub peers: &'static [&'static str],
    /// Whether peers may have adopted others. So it is in every second.
    pub has_adoptions: bool,
    /// Whether it may have been purged. Of what lies behind a horizon, a store may know a part.
    pub has_purges: bool,
}

/// Has random things happen to a store of this harness, and closes it; the same seed gives the same.
///
/// # Panics
/// If the store does not answer as the model does.
pub async fn history<H: Harness>(sandbox: &Sandbox<H>, seed: u64) -> History {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let mut steps = steps::sequence_of_steps().new_tree(&mut runner).expect("steps can be drawn").current();
    let (has_adoptions, has_purges) = (seed.is_multiple_of(2), seed % 4 < 2);
    steps.retain(|step| has_purges || !matches!(step, steps::Step::Purge { .. }));
    for step in &mut steps {
        if let steps::Step::Commit(changes) = step {
            changes.retain(|change| has_adoptions || !matches!(change, steps::Change::Adopt { .. }));
        }
    }
    let place = sandbox.beside(&format!("history-{seed}"));
    let taken = async {
        let mut pair = Pair::open(sandbox, place.clone()).await?;
        for step in &steps {
            pair.take(step).await?;
        }
        pair.close().await
    };
    taken.await.unwrap_or_else(|failure: TestCaseError| panic!("history {seed}: {failure}"));
    History { place, messages: steps::MESSAGES, peers: &steps::PEERS, has_adoptions, has_purges }
}
