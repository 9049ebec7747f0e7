//! `slipstream store compact`.

use std::process::ExitCode;

use clap::Args;
use indicatif::HumanBytes;
use serde_json::json;

use super::progress::Bar;
use crate::cli::failure::Failure;
use crate::cli::{StoreFlags, output};
use crate::offline;

const EXAMPLE: &str = "\
Example:
  slipstream store compact --storage-path /var/lib/slipstream

It wants room for a second copy. The new form is compared with the old one before it takes its place; killed at any
moment, the old one or the new one is there.";

/// `store compact`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreFlags,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let store = arguments.store.located()?;
    let bytes = offline::compact(&store, &Bar::new(arguments.json))?;
    if arguments.json {
        let (engine, path) = (store.engine.name(), &store.path);
        let record = json!({"engine": engine, "path": path, "bytesBefore": bytes.before, "bytesAfter": bytes.after});
        output::record(&record)?;
    } else {
        let (before, after) = (HumanBytes(bytes.before), HumanBytes(bytes.after));
        output::line(&format!("{store}: {before} before, {after} after"))?;
    }
    Ok(ExitCode::SUCCESS)
}
