//! Why a command on a store failed.

use std::io;

use crate::admin::ClientError;
use crate::config::Faults;
use crate::offline::OfflineError;

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// It was not asked rightly.
    #[error("{0}")]
    Configuration(#[from] Faults),
    #[error("{0}")]
    Store(#[from] OfflineError),
    #[error("{0}")]
    Relay(#[from] ClientError),
    #[error("{0}")]
    Output(#[from] io::Error),
}
