//! `slipstream bench`: measurements, which are made by the library in `benches/`.

mod host;
mod metrics_page;
mod relay;
mod store;
mod table;

use std::process::ExitCode;

use clap::Subcommand;
use tokio::runtime::Builder;

const EXAMPLE: &str = "\
Examples:
  slipstream bench relay
  slipstream bench relay --mode offline --messages 1000000
  slipstream bench store --quick";

/// What is measured.
#[derive(Debug, Clone, Subcommand)]
#[command(after_help = EXAMPLE)]
pub enum Subject {
    /// Puts load on a running relay: throughput and latency percentiles.
    Relay(relay::Arguments),
    /// Measures every engine on the disk at hand, and names the one to take.
    Store(store::Arguments),
    /// Serves one engine to `bench store`.
    #[command(hide = true)]
    StoreWorker(store::Worker),
}

impl Subject {
    /// The runtime that it runs in.
    pub(super) fn runtime(&self) -> Builder {
        match self {
            Self::Relay(arguments) => arguments.runtime(),
            // A store has threads of its own.
            Self::Store(_) | Self::StoreWorker(_) => Builder::new_current_thread(),
        }
    }
}

/// Measures, and prints the result.
pub(super) async fn run(subject: Subject) -> ExitCode {
    match subject {
        Subject::Relay(arguments) => relay::run(arguments).await,
        Subject::Store(arguments) => store::run(arguments).await,
        Subject::StoreWorker(worker) => store::run_worker(worker).await,
    }
}
