//! What the threads that read do: views, checks and copies.

use std::path::Path;

use slipstream_embedded::{Reader, Tables};
use slipstream_store::{Defect, Depth, Result, StoreError};

use crate::environment::Environment;
use crate::place::place;
use crate::tables::{Databases, View};
use crate::{fault, inspect, make};

/// Views on the tables.
#[derive(Debug)]
pub struct LmdbReader {
    environment: Environment,
    databases: Databases,
}

impl LmdbReader {
    pub(crate) fn new(environment: Environment, databases: Databases) -> Self {
        Self { environment, databases }
    }
}

impl Reader for LmdbReader {
    fn read(&mut self, work: &mut dyn FnMut(&dyn Tables) -> Result<()>) -> Result<()> {
        View::of(&self.environment, &self.databases, |view| work(view))
    }

    fn verify(&mut self, _: Depth) -> Result<Vec<Defect>> {
        // What is stored as of this view or later is not overwritten while the view is held.
        let view = self.environment.read_txn().map_err(|error| fault::reading(&error))?;
        let found = inspect::look_over(self.environment.path());
        drop(view);
        match found {
            Ok(0) => Ok(Vec::new()),
            Ok(lost) => Ok(vec![Defect(format!("{lost} pages belong to no table and are not free"))]),
            Err(StoreError::Corrupted(text)) => Ok(vec![Defect(text)]),
            Err(other) => Err(other),
        }
    }

    fn backup(&mut self, target: &Path) -> Result<()> {
        place(target).write_new(|made| make::copy(&self.environment, &made.data()))
    }
}
