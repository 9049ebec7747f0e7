//! What a store goes through: steps drawn from a seed, and what it must hold after each, by the model.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;

use slipstream_store::{Batch, Horizon, MessageStore, Outcome, Result, Sequence};

use crate::model::ModelStore;
use crate::power::generator::Generator;
use crate::power::steps::{Step, operation};
use crate::power::view::View;

/// Most that a purge removes at once.
const BUDGET: NonZeroU32 = NonZeroU32::new(7).unwrap();

/// What a store is asked for, ready to be asked again.
#[derive(Debug, Clone)]
pub(super) enum Request {
    Commit(Arc<Batch>),
    Purge(Horizon),
    Reopen,
}

/// What must be readable after a step.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) lines: BTreeSet<String>,
    /// Messages whose traces the store need not have any more.
    pub(super) forgotten: BTreeSet<u32>,
}

#[derive(Debug)]
pub(super) struct Workload {
    steps: Vec<Step>,
    /// How many messages there are in all; the names of messages are numbers.
    messages: u32,
    /// After so many steps.
    pub(super) expected: Vec<Expected>,
}

impl Workload {
    /// The workload of this seed. Every other has megabytes of messages and few closings, so that engines move their logs
    /// while they work.
    pub(super) async fn generate(seed: u64, length: usize) -> Self {
        let mut generator = Generator::new(seed, seed % 2 == 1);
        let steps: Vec<(Step, u32)> = (0..length).map(|number| generator.step(number as u64)).collect();
        let messages = generator.recorded();
        let model = ModelStore::in_memory();
        let mut workload = Self { steps: Vec::new(), messages, expected: Vec::new() };
        workload.expected.push(workload.expect(&model, 0).await);
        for (step, recorded) in steps {
            workload.steps.push(step);
            let view = View::read(&model, 0..0).await.expect("the model reads");
            let request = workload.request(workload.steps.len() - 1, &view);
            perform(&model, &request).await.expect("the model does every step");
            workload.expected.push(workload.expect(&model, recorded).await);
        }
        workload
    }

    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    /// The messages whose traces are compared.
    pub(super) fn messages(&self) -> std::ops::Range<u32> {
        0..self.messages
    }

    async fn expect(&self, model: &ModelStore, recorded: u32) -> Expected {
        let view = View::read(model, self.messages()).await.expect("the model reads");
        let forgotten = view.forgotten(recorded);
        Expected { lines: view.lines(&forgotten), forgotten }
    }

    /// What the step asks a store for that holds what is in the view.
    pub(super) fn request(&self, step: usize, view: &View) -> Request {
        match &self.steps[step] {
            Step::Purge(horizon) => Request::Purge(*horizon),
            Step::Reopen => Request::Reopen,
            Step::Commit(changes) => {
                let operations: Vec<_> = changes.iter().filter_map(|change| operation(change, view)).collect();
                Request::Commit(Arc::new(operations.into()))
            }
        }
    }
}

/// Does what is asked for on an open store, apart from reopening it; returns the sequences that were given.
pub(super) async fn perform<S: MessageStore>(store: &S, request: &Request) -> Result<Vec<Sequence>> {
    match request {
        Request::Reopen => Ok(Vec::new()),
        Request::Purge(horizon) => {
            while store.purge(*horizon, BUDGET).await?.more {}
            Ok(Vec::new())
        }
        Request::Commit(batch) => {
            let outcomes = store.commit(Arc::clone(batch)).await?;
            let given = outcomes.into_iter().filter_map(|outcome| match outcome {
                Outcome::Recorded { sequence } | Outcome::Redriven { sequence } | Outcome::Imported { sequence } => {
                    Some(sequence)
                }
                _ => None,
            });
            Ok(given.collect())
        }
    }
}
