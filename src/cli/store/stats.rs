//! `slipstream store stats`.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use clap::Args;
use indicatif::HumanCount;
use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::settings::Named;
use crate::cli::{StoreFlags, output};
use crate::offline;
use crate::store::Stats;

const EXAMPLE: &str = "\
Examples:
  slipstream store stats
  slipstream store stats --storage-path /var/lib/slipstream --json";

/// `store stats`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreFlags,
}

/// The counts as they are printed.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counts {
    engine: &'static str,
    peers: u64,
    messages: u64,
    pending: u64,
    dead_letters: u64,
    identities: u64,
    bytes: u64,
}

impl Counts {
    pub(super) fn new(engine: &'static str, stats: Stats) -> Self {
        let Stats { peers, messages, pending, dead_letters, identities, bytes } = stats;
        Self { engine, peers, messages, pending, dead_letters, identities, bytes }
    }

    /// Prints a table.
    pub(super) fn show(&self) -> io::Result<()> {
        row("engine", &self.engine)?;
        row("peers", &HumanCount(self.peers).to_string())?;
        row("messages", &HumanCount(self.messages).to_string())?;
        row("pending", &HumanCount(self.pending).to_string())?;
        row("dead letters", &HumanCount(self.dead_letters).to_string())?;
        row("identities", &HumanCount(self.identities).to_string())?;
        row("bytes", &HumanCount(self.bytes).to_string())
    }
}

pub(super) async fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let counts = match arguments.store.named()? {
        Named::Files(store) => Counts::new(store.engine.name(), store.stats()?),
        Named::Shared(url) => Counts::new("postgres", offline::shared_stats(&url).await?),
    };
    if arguments.json {
        output::record(&counts)?
    } else {
        counts.show()?
    }
    Ok(ExitCode::SUCCESS)
}

/// A line of a table: what, and how much.
fn row(what: &str, value: &dyn Display) -> io::Result<()> {
    output::line(&format!("{what:<14}{value:>14}"))
}
