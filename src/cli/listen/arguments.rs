//! What `slipstream listen` is asked to do.

use std::num::NonZeroU64;
use std::time::Duration;

use clap::Args;
use slipstream_store::{Key, PeerId, Tag};

use super::format::Format;
use crate::cli::urls::RelayUrl;
use crate::client::ClientOptions;
use crate::config;
use crate::link::Secret;
use crate::tls::ClientTls;

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
    pub(super) to: RelayUrl,
    /// The id to listen under.
    #[arg(long)]
    pub(super) id: PeerId,
    /// Tags to carry, which messages may target.
    #[arg(long, value_delimiter = ',')]
    pub(super) tags: Vec<Tag>,
    /// Ends after this many messages were printed.
    #[arg(long, value_name = "NUMBER")]
    pub(super) count: Option<NonZeroU64>,
    /// Ends when nothing was printed for so long, with exit status 3.
    #[arg(long, value_name = "DURATION", value_parser = some_time)]
    pub(super) timeout: Option<Duration>,
    /// Prints only messages with this key; may be given several times. The others are acknowledged too, since they would
    /// hold up what follows: do not use the id of an application that needs them. How many they were is said at the end.
    #[arg(long = "key", value_name = "KEY")]
    pub(super) keys: Vec<Key>,
    /// Does not acknowledge: the relay will send the messages again.
    #[arg(long)]
    pub(super) no_ack: bool,
    /// Ends when the link is lost, with exit status 1, instead of making it again.
    #[arg(long)]
    pub(super) once: bool,
    /// What is printed of each message: text (type, key, value), json (the whole message), value (the value as JSON), or
    /// a template such as '{key}\t{value}', with fields of the message in braces.
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = Format::parse)]
    pub(super) format: Format,
    /// Prints each message as it came, as one JSON object a line; short for --format json.
    #[arg(long, conflicts_with = "format")]
    pub(super) json: bool,
}

fn some_time(text: &str) -> Result<Duration, String> {
    config::duration(text, Duration::from_millis(1)).map_err(|expected| format!("expected {expected}"))
}

impl Arguments {
    /// What the relay is told of whoever listens.
    pub(super) fn options(&self, token: Option<Secret>, tls: ClientTls) -> ClientOptions {
        let (id, tags, tls) = (Some(self.id.clone()), self.tags.clone(), Some(tls));
        ClientOptions { id, tags, token, tls, ..ClientOptions::default() }
    }

    /// What is printed of each message.
    pub(super) fn format(&self) -> &Format {
        if self.json { &Format::Json } else { &self.format }
    }
}
