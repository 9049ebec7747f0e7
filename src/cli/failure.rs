//! Why a command failed, and with which exit status.

use std::io;
use std::process::ExitCode;

use super::output;
use crate::admin::ClientError;
use crate::config::Faults;
use crate::offline::OfflineError;

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// It was not asked rightly.
    #[error("{0}")]
    Configuration(#[from] Faults),
    /// It was not asked rightly.
    #[error("{0}")]
    Misused(String),
    #[error("{0}")]
    Store(#[from] OfflineError),
    #[error("{0}")]
    Relay(#[from] ClientError),
    #[error("{0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// Tells it on stderr, and returns the exit status.
    pub(super) fn told(self) -> ExitCode {
        match self {
            Self::Relay(fault @ ClientError::Url { .. }) => {
                output::fail(output::MISUSED, &format_args!("--admin: {fault}"))
            }
            Self::Configuration(_) | Self::Misused(_) => output::fail(output::MISUSED, &self),
            _ => output::fail(output::FAILED, &self),
        }
    }
}
