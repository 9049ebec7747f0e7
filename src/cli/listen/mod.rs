//! `slipstream listen`: prints the messages that come.

mod format;
mod listening;

use std::num::NonZeroU64;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use slipstream_store::{Key, PeerId, Tag};

use self::format::Format;
use self::listening::Listening;
use super::output;
use super::urls::RelayUrl;
use crate::client::ClientOptions;
use crate::config;

/// The exit status if nothing more came within `--timeout`.
const QUIET: u8 = 3;

const EXAMPLE: &str = "\
Examples:
  slipstream listen --to ws://127.0.0.1:7171/ --id app-1
  slipstream listen --to ws://127.0.0.1:7171/ --id app-1 --tags aws,production --count 10 --json
  slipstream listen --to ws://127.0.0.1:7171/ --id app-1 --timeout 5s --format '{key}\\t{value}'

From the first time on the relay holds messages for this id while nobody listens. A message is acknowledged when it is
printed, and then it is not sent again; one whose acknowledgement is lost with the link is printed twice.

A lost link is made again, with pauses from half a second up to 30 s. It is the end if the first link cannot be made, if
the relay refuses this id (400, 401, 403), or if another client has taken over the id.

The exit status is 0 after --count messages, after Ctrl-C or SIGTERM, and when whoever reads stdout has gone; 3 if
nothing more came within --timeout; 1 if there is no link any more, or stdout cannot be written; 2 if the command is not
right.";

/// Prints the messages that come, one line each, and acknowledges each when it is printed.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    #[command(flatten)]
    to: RelayUrl,
    /// The id to listen under.
    #[arg(long)]
    id: PeerId,
    /// Tags to carry, which messages may target.
    #[arg(long, value_delimiter = ',')]
    tags: Vec<Tag>,
    /// Ends after this many messages were printed.
    #[arg(long, value_name = "NUMBER")]
    count: Option<NonZeroU64>,
    /// Ends when nothing was printed for so long, with exit status 3.
    #[arg(long, value_name = "DURATION", value_parser = some_time)]
    timeout: Option<Duration>,
    /// Prints only messages with this key; may be given several times. The others are acknowledged too, since they would
    /// hold up what follows: do not use the id of an application that needs them. How many they were is said at the end.
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<Key>,
    /// Does not acknowledge: the relay will send the messages again.
    #[arg(long)]
    no_ack: bool,
    /// Ends when the link is lost, with exit status 1, instead of making it again.
    #[arg(long)]
    once: bool,
    /// What is printed of each message: text (type, key, value), json (the whole message), value (the value as JSON), or
    /// a template such as '{key}\t{value}', with fields of the message in braces.
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = Format::parse)]
    format: Format,
    /// Prints each message as it came, as one JSON object a line; short for --format json.
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

fn some_time(text: &str) -> Result<Duration, String> {
    config::duration(text, Duration::from_millis(1)).map_err(|expected| format!("expected {expected}"))
}

/// How listening ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// So many were printed as were asked for.
    Counted,
    /// A signal asked for it.
    Asked,
    /// Nobody reads what is printed.
    Unread,
    /// Nothing more came in time.
    Quiet,
}

impl Arguments {
    fn options(&self) -> ClientOptions {
        ClientOptions { id: Some(self.id.clone()), tags: self.tags.clone(), ..ClientOptions::default() }
    }

    fn format(&self) -> &Format {
        if self.json { &Format::Json } else { &self.format }
    }
}

/// Prints what comes until the count is reached, nothing more comes, or it is asked to stop.
pub(super) async fn run(arguments: &Arguments) -> ExitCode {
    let url = match arguments.to.read() {
        Ok(url) => url,
        Err(fault) => return output::fail(output::MISUSED, &output::printable(&fault)),
    };
    let mut listening = match Listening::new(arguments, url) {
        Ok(listening) => listening,
        Err(fault) => return output::fail(output::FAILED, &format_args!("signals: {fault}")),
    };
    let outcome = listening.run().await;
    if let Some(told) = listening.passed_over() {
        output::complain(&told);
    }
    match outcome {
        Ok(End::Counted | End::Asked | End::Unread) => ExitCode::SUCCESS,
        Ok(End::Quiet) => ExitCode::from(QUIET),
        Err(fault) => output::fail(output::FAILED, &format_args!("{fault:#}")),
    }
}
