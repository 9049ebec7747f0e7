//! `slipstream store check`.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::progress::Bar;
use crate::cli::failure::Failure;
use crate::cli::settings::Named;
use crate::cli::{StoreFlags, output};
use crate::offline;
use crate::store::{Defect, Depth};

const EXAMPLE: &str = "\
Examples:
  slipstream store check
  slipstream store check --storage-path /var/lib/slipstream --depth quick --json

The exit status is 1 where a defect is found. A store that is damaged too much to be opened is a finding too.";

/// How thorough a check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Thoroughness {
    /// Everything but messages, dead letters and traces
    Quick,
    /// Everything
    Full,
}

/// `store check`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// How thorough the check is.
    #[arg(long, value_enum, default_value_t = Thoroughness::Full)]
    depth: Thoroughness,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreFlags,
}

pub(super) async fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let (depth, name) = match arguments.depth {
        Thoroughness::Quick => (Depth::Quick, "quick"),
        Thoroughness::Full => (Depth::Full, "full"),
    };
    let bar = Bar::new(arguments.json);
    let (engine, place, defects) = match arguments.store.named()? {
        Named::Files(store) => (store.engine.name(), store.path.display().to_string(), store.check(depth, &bar)?),
        Named::Shared(url) => {
            let (place, defects) = offline::check_shared(&url, depth, &bar).await?;
            ("postgres", place, defects)
        }
    };
    drop(bar);
    let texts: Vec<_> = defects.iter().map(|Defect(text)| output::printable(text)).collect();
    if arguments.json {
        output::record(&json!({"engine": engine, "path": place, "depth": name, "defects": texts}))?;
    } else {
        for text in &texts {
            output::line(text)?;
        }
        let found = match texts.len() {
            0 => "no defect".to_owned(),
            1 => "1 defect".to_owned(),
            count => format!("{count} defects"),
        };
        output::line(&format!("{engine}:{place}: {found} (depth {name})"))?;
    }
    Ok(if texts.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(output::FAILED) })
}
