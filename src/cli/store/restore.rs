//! `slipstream store restore`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::progress::Bar;
use super::stats::Counts;
use crate::backend;
use crate::cli::failure::Failure;
use crate::cli::{StoreFlags, output};
use crate::config::{Origin, Setting};
use crate::offline::{self, Allowed, Located, OfflineError};

const EXAMPLE: &str = "\
Examples:
  slipstream store restore /backup/2026-11-25.db --storage-path /var/lib/slipstream
  slipstream store restore /backup/2026-11-25 --storage-path /var/lib/slipstream --replace

The backup is copied, checked whole, and put in place by one rename; the backup itself is only read. The relay must be
stopped. Never run a backup beside the relay that it is of.";

/// `store restore`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// The backup: the folder, or the file, of a closed store.
    backup: PathBuf,
    /// Removes the store that is there, once the backup is whole in its place.
    #[arg(long)]
    replace: bool,
    /// Takes a copy that was not closed in order, where nothing better is left. What it lacks is not noticed.
    #[arg(long)]
    unclean: bool,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreFlags,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let config = arguments.store.inspect(backend::COMPILED).outcome?;
    let backup = offline::Backup::find(&arguments.backup)?;
    let is_given = Setting::by_key("store").is_some_and(|store| config.origin(store) != Origin::Default);
    if is_given && config.store != backup.engine.into() {
        let (path, found, expected) = (arguments.backup.clone(), backup.engine.name(), config.store.name());
        return Err(OfflineError::OtherEngine { path, found, expected }.into());
    }
    let to = Located { engine: backup.engine, path: config.storage_path };
    let allowed = Allowed { replace: arguments.replace, unclean: arguments.unclean };
    let stats = offline::restore(&backup, &to, allowed, &Bar::new(arguments.json))?;
    let counts = Counts::new(to.engine.name(), stats);
    if arguments.json {
        output::record(&json!({"backup": arguments.backup, "path": to.path, "stats": counts}))?;
    } else {
        output::line(&format!("{} -> {to}: restored, checked whole", arguments.backup.display()))?;
        counts.show()?;
    }
    Ok(ExitCode::SUCCESS)
}
