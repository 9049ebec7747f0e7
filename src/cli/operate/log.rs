//! `slipstream log`.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use hyper::Method;

use super::Done;
use super::flags::Flags;
use crate::admin::LoggingBody;
use crate::admin::client::{call, get};
use crate::cli::output;
use crate::logging::Level;

const EXAMPLE: &str = "\
Examples:
  slipstream log
  slipstream log --messages off --level debug

What is changed holds until the next change, or the next start of the relay.";

/// `log`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// One line a message.
    #[arg(long, value_name = "on|off")]
    messages: Option<Switch>,
    /// The level of everything else: error, warn, info, debug or trace.
    #[arg(long)]
    level: Option<Level>,
    #[command(flatten)]
    flags: Flags,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

pub(in crate::cli) async fn run(arguments: &Arguments) -> Done {
    const PATH: &str = "/api/v1/logging";
    let admin = arguments.flags.admin.read()?;
    let messages = arguments.messages.map(|switch| switch == Switch::On);
    let wish = LoggingBody { message_logs: messages, level: arguments.level };
    let now: LoggingBody = match (messages, arguments.level) {
        (None, None) => get(&admin, PATH).await?,
        _ => call(&admin, Method::PUT, PATH, Some(&wish)).await?,
    };
    if arguments.flags.json {
        output::record(&now)?;
    } else {
        let messages = if now.message_logs == Some(true) { "on" } else { "off" };
        let level = now.level.and_then(|level| serde_json::to_value(level).ok());
        let level = level.as_ref().and_then(|level| level.as_str()).unwrap_or_default();
        output::line(&format!("messages {messages}, level {level}"))?;
    }
    Ok(ExitCode::SUCCESS)
}
