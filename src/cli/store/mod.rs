//! `slipstream store`: work on a whole store that no relay has open, one file a command.

mod backup;
mod check;
mod compact;
mod migrate;
mod progress;
mod restore;
mod stats;

use std::process::ExitCode;

use clap::Subcommand;

use super::failure::Failure;

pub(super) const EXAMPLE: &str = "\
Examples:
  slipstream store check --storage-path /var/lib/slipstream
  slipstream store backup --storage-path /var/lib/slipstream /backup/2026-11-25.db
  slipstream store restore /backup/2026-11-25.db --storage-path /var/lib/slipstream --replace
  slipstream store migrate --from sqlite:/var/lib/slipstream --to redb:/var/lib/slipstream-redb

They work on a store that no relay has open, and never make one where there is none. The exit status is 1 where they
failed or found a defect. docs/stores.md tells how to operate a store.";

/// What is done with the store.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Looks for damage and contradictions.
    Check(check::Arguments),
    /// Counts what is in the store.
    Stats(stats::Arguments),
    /// Rewrites the store into its smallest form.
    Compact(compact::Arguments),
    /// Writes a copy that the same engine opens; of a running relay with --admin.
    Backup(backup::Arguments),
    /// Puts a backup in the place of the store.
    Restore(restore::Arguments),
    /// Moves everything to a new store, of the same or another engine.
    Migrate(migrate::Arguments),
}

/// Runs the command.
pub(super) async fn run(command: &Command) -> ExitCode {
    let done = match command {
        Command::Check(arguments) => check::run(arguments).await,
        Command::Stats(arguments) => stats::run(arguments).await,
        Command::Compact(arguments) => compact::run(arguments),
        Command::Backup(arguments) => backup::run(arguments).await,
        Command::Restore(arguments) => restore::run(arguments),
        Command::Migrate(arguments) => migrate::run(arguments).await,
    };
    done.unwrap_or_else(Failure::told)
}
