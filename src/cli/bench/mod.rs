//! `slipstream bench`: measurements, one file a subject.

mod relay;
mod table;

use std::process::ExitCode;

use clap::Subcommand;
use tokio::runtime::Builder;

const EXAMPLE: &str = "\
Examples:
  slipstream bench relay
  slipstream bench relay --mode offline --messages 1000000";

/// What is measured.
#[derive(Debug, Clone, Subcommand)]
#[command(after_help = EXAMPLE)]
pub enum Subject {
    /// Puts load on a running relay: throughput and latency percentiles.
    Relay(relay::Arguments),
}

impl Subject {
    /// The runtime that it runs in.
    pub(super) fn runtime(&self) -> Builder {
        match self {
            Self::Relay(arguments) => arguments.runtime(),
        }
    }
}

/// Measures, and prints the result.
pub(super) async fn run(subject: Subject) -> ExitCode {
    match subject {
        Subject::Relay(arguments) => relay::run(arguments).await,
    }
}
