//! `slipstream config`: what a start would make of the configuration, without a start.

mod show;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::{SettingFlags, output, serve};
use crate::backend;
use crate::config::{self, Inspection, Origin};

pub(super) const EXAMPLE: &str = "\
Examples:
  slipstream config check --config /etc/slipstream.toml
  slipstream config show
  URL_CONFIG=$(slipstream config encode peers.json)";

const CHECK_EXAMPLE: &str = "\
Example:
  slipstream config check --config /etc/slipstream.toml

It reads the files of certificates and credentials, and opens no store, no port and no link. The exit status is 0 where a start would go on, and 2 where it would not;
stderr then has every fault.";

const SHOW_EXAMPLE: &str = "\
Example:
  slipstream config show --config /etc/slipstream.toml

Secrets are not shown: a token is `hidden`, and the query of a URL is `…`. Where there are faults, what could be read is
shown all the same, the faults follow on stderr, and the exit status is 2.";

const ENCODE_EXAMPLE: &str = "\
Example:
  export URL_CONFIG=$(slipstream config encode peers.json)

peers.json is an array such as [{\"url\":\"ws://relay-azure.example:7171/\",\"id\":\"azure-1\"}]. Base64 hides nothing: where
there are tokens in it, keep it as you keep them.";

/// What is asked of the configuration.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Says whether a start would take the configuration, and everything that is wrong with it.
    #[command(after_help = CHECK_EXAMPLE)]
    Check(Check),
    /// Shows the settings in force, and where each came from.
    #[command(after_help = SHOW_EXAMPLE)]
    Show(Show),
    /// Makes URL_CONFIG from a JSON array of peers.
    #[command(after_help = ENCODE_EXAMPLE)]
    Encode(Encode),
}

/// `config check`.
#[derive(Debug, Clone, Args)]
pub struct Check {
    #[command(flatten)]
    settings: SettingFlags,
}

/// `config show`.
#[derive(Debug, Clone, Args)]
pub struct Show {
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingFlags,
}

/// `config encode`.
#[derive(Debug, Clone, Args)]
pub struct Encode {
    /// A file that holds the array; `-` reads stdin.
    file: PathBuf,
}

/// Runs the command.
pub(super) fn run(command: &Command) -> ExitCode {
    let ran = match command {
        Command::Check(Check { settings }) => check(settings),
        Command::Show(Show { json, settings }) => show::run(settings, *json),
        Command::Encode(Encode { file }) => encode(file),
    };
    ran.unwrap_or_else(|error| output::fail(output::FAILED, &format!("{error:#}")))
}

fn check(settings: &SettingFlags) -> anyhow::Result<ExitCode> {
    let Inspection { settings, peers, subscribers, outcome } = settings.inspect(backend::COMPILED);
    let config = match outcome {
        Ok(config) => config,
        Err(faults) => return Ok(output::fail(output::MISUSED, &faults)),
    };
    let (certificates, access) = match serve::named_files(&config) {
        Ok(read) => read,
        Err(faults) => return Ok(output::fail(output::MISUSED, &faults)),
    };
    for warning in config.warnings().into_iter().chain(certificates.warnings()).chain(access.warnings()) {
        output::complain(&format!("warning: {warning}"));
    }
    let given = settings.iter().filter(|each| each.origin != Origin::Default).count();
    output::line(&format!(
        "the configuration has no fault; settings given: {given} of {}; peers to dial: {}; subscribers: {}",
        settings.len(),
        peers.len(),
        subscribers.len()
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn encode(file: &Path) -> anyhow::Result<ExitCode> {
    let (place, json) = if file == Path::new("-") {
        ("stdin".to_owned(), config::read_text(io::stdin().lock()))
    } else {
        (file.display().to_string(), config::read_file(file))
    };
    let json = json.with_context(|| place.clone())?;
    match config::encode_peers(&json, &place) {
        Ok(encoded) => output::line(&encoded)?,
        Err(faults) => return Ok(output::fail(output::MISUSED, &faults)),
    }
    Ok(ExitCode::SUCCESS)
}
