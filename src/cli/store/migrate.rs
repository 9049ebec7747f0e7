//! `slipstream store migrate`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use serde_json::json;

use super::progress::Bar;
use super::stats::Counts;
use crate::backend;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::config::{self, Engine};
use crate::offline::{self, Located};

const EXAMPLE: &str = "\
Example:
  slipstream store migrate --from sqlite:/var/lib/slipstream --to redb:/var/lib/slipstream-redb

There must be no store at the target. The source is only read. The target becomes a store when all rows of both were
compared; until then a start refuses it. An interrupted migration is started again with the same command.";

/// `store migrate`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// The store that is read.
    #[arg(long, value_name = "ENGINE:PATH", value_parser = located)]
    from: Located,
    /// Where the new store is made.
    #[arg(long, value_name = "ENGINE:PATH", value_parser = located)]
    to: Located,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

/// Reads an engine and a path.
fn located(text: &str) -> Result<Located, String> {
    let Some((engine, path)) = text.split_once(':').filter(|(_, path)| !path.is_empty()) else {
        return Err("expected an engine and a path, such as sqlite:/var/lib/slipstream".to_owned());
    };
    let engine = config::embedded_engine(engine).map_err(|expected| format!("the engine: expected {expected}"))?;
    if backend::EMBEDDED.contains(&engine) {
        Ok(Located { engine, path: PathBuf::from(path) })
    } else {
        Err(Engine::from(engine).not_compiled_in())
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let Arguments { from, to, json } = arguments;
    let migrated = offline::migrate(from, to, &Bar::new(*json))?;
    let counts = Counts::new(to.engine.name(), migrated.stats);
    if *json {
        let amount = migrated.amount;
        output::record(&json!({
            "from": {"engine": from.engine.name(), "path": from.path, "bytes": migrated.source_bytes},
            "to": {"engine": to.engine.name(), "path": to.path, "bytes": migrated.stats.bytes},
            "rows": amount.rows,
            "rowBytes": amount.bytes,
            "stats": counts,
        }))?;
    } else {
        let (rows, bytes) = (HumanCount(migrated.amount.rows), HumanBytes(migrated.amount.bytes));
        output::line(&format!("{from} -> {to}: {rows} rows of {bytes}, compared one by one"))?;
        counts.show()?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EmbeddedEngine;

    #[test]
    fn an_engine_and_a_path_are_wanted() {
        let store = located("sqlite:/a:b").expect("an engine and a path");
        assert_eq!(store, Located { engine: EmbeddedEngine::Sqlite, path: PathBuf::from("/a:b") });
        for (text, told) in
            [("/var/lib", "an engine and a path"), ("sqlite:", "an engine and a path"), ("sql:/a", "`sqlite`")]
        {
            let fault = located(text).expect_err("refused");
            assert!(fault.contains(told), "{text}: {fault}");
        }
    }
}
