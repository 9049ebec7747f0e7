//! The ways of a process to the servers.

use crate::support::{Condition, Proxy};

/// The ways of a process to both places of the database.
#[derive(Debug)]
pub(crate) struct Ways(pub(crate) [Proxy; 2]);

impl Ways {
    /// Makes both so.
    pub(crate) fn become_all(&self, condition: Condition) {
        self.0.iter().for_each(|way| way.becomes(condition));
    }
}
