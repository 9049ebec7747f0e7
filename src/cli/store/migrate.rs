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
use crate::cli::{output, settings};
use crate::config::{self, Engine};
use crate::link::Secret;
use crate::offline::{self, Located, Migrated, Transferred};

const EXAMPLE: &str = "\
Examples:
  slipstream store migrate --from sqlite:/var/lib/slipstream --to redb:/var/lib/slipstream-redb
  slipstream store migrate --from sqlite:/var/lib/slipstream --to postgres

There must be no store at the target. The source is only read. The target becomes a store when both were compared; until
then a start refuses it. An interrupted migration is started again with the same command. The URL of a store on PostgreSQL
is read from SLIPSTREAM_STORE_URL, so that nobody sees it among the processes.";

/// `store migrate`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// The store that is read: ENGINE:PATH, or postgres.
    #[arg(long, value_name = "STORE", value_parser = end)]
    from: End,
    /// Where the new store is made: ENGINE:PATH, or postgres.
    #[arg(long, value_name = "STORE", value_parser = end)]
    to: End,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

/// Where a migration begins, or where it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    /// A store in files.
    Files(Located),
    /// The store that several processes share.
    Shared,
}

/// Reads an engine and a path, or the name of an engine whose store has a URL.
fn end(text: &str) -> Result<End, String> {
    if text == Engine::Postgres.name() {
        let is_there = backend::COMPILED.contains(&Engine::Postgres);
        return if is_there { Ok(End::Shared) } else { Err(Engine::Postgres.not_compiled_in()) };
    }
    let Some((engine, path)) = text.split_once(':').filter(|(_, path)| !path.is_empty()) else {
        return Err("expected an engine and a path, such as sqlite:/var/lib/slipstream, or postgres".to_owned());
    };
    let engine = config::embedded_engine(engine).map_err(|expected| format!("the engine: expected {expected}"))?;
    if backend::EMBEDDED.contains(&engine) {
        Ok(End::Files(Located { engine, path: PathBuf::from(path) }))
    } else {
        Err(Engine::from(engine).not_compiled_in())
    }
}

pub(super) async fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let (json, bar) = (arguments.json, Bar::new(arguments.json));
    match (&arguments.from, &arguments.to) {
        (End::Files(from), End::Files(to)) => {
            let migrated = offline::migrate(from, to, &bar)?;
            drop(bar);
            tell_rows(from, to, &migrated, json)
        }
        (End::Files(from), End::Shared) => {
            let moved = offline::to_shared(from, &url()?, &bar).await?;
            drop(bar);
            let (from, path) = (from.engine.name(), from.path.display().to_string());
            tell_messages((from, &path), ("postgres", &moved.place), &moved, json)
        }
        (End::Shared, End::Files(to)) => {
            let moved = offline::from_shared(&url()?, to, &bar).await?;
            drop(bar);
            let (to, path) = (to.engine.name(), to.path.display().to_string());
            tell_messages(("postgres", &moved.place), (to, &path), &moved, json)
        }
        (End::Shared, End::Shared) => Err(Failure::Misused(
            "both are the store that SLIPSTREAM_STORE_URL names: expected one of them to be ENGINE:PATH; PostgreSQL has \
             ways of its own to move a database"
                .to_owned(),
        )),
    }
}

fn url() -> Result<Secret, Failure> {
    let missing = || Failure::Misused("SLIPSTREAM_STORE_URL: expected the URL of the store on PostgreSQL".to_owned());
    settings::shared_url()?.ok_or_else(missing)
}

/// Tells what was moved row by row.
fn tell_rows(from: &Located, to: &Located, migrated: &Migrated, json: bool) -> Result<ExitCode, Failure> {
    let counts = Counts::new(to.engine.name(), migrated.stats);
    if json {
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

/// Tells what was moved message by message, between an engine with its place and another.
fn tell_messages(
    from: (&'static str, &str),
    to: (&'static str, &str),
    moved: &Transferred,
    json: bool,
) -> Result<ExitCode, Failure> {
    let counts = Counts::new(to.0, moved.stats);
    if json {
        output::record(&json!({
            "from": {"engine": from.0, "path": from.1},
            "to": {"engine": to.0, "path": to.1, "bytes": moved.stats.bytes},
            "messages": moved.messages,
            "stats": counts,
        }))?;
    } else {
        let messages = HumanCount(moved.messages);
        output::line(&format!("{}:{} -> {}:{}: {messages} messages, compared one by one", from.0, from.1, to.0, to.1))?;
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
        let store = end("sqlite:/a:b").expect("an engine and a path");
        assert_eq!(store, End::Files(Located { engine: EmbeddedEngine::Sqlite, path: PathBuf::from("/a:b") }));
        for (text, told) in
            [("/var/lib", "an engine and a path"), ("sqlite:", "an engine and a path"), ("sql:/a", "`sqlite`")]
        {
            let fault = end(text).expect_err("refused");
            assert!(fault.contains(told), "{text}: {fault}");
        }
    }
}
