//! What `slipstream send` is asked to do.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use slipstream_store::{Key, MessageId, MessageType, PeerId, Tag};

use super::expiry::Expiry;
use crate::cli::urls::RelayUrl;
use crate::clock::{Clock as _, SystemClock};
use crate::config;

/// Longest name of a stream; with the number of a line and the hash it is no longer than an id may be.
pub(super) const MAX_NAME_BYTES: usize = 64;

const EXAMPLE: &str = "\
Examples:
  slipstream send --to ws://127.0.0.1:7171/ order:123 '{\"total\":100}'
  slipstream send --to ws://127.0.0.1:7171/ --type SA --tags aws,production groups '[\"a\",\"b\"]'
  slipstream send --to ws://127.0.0.1:7171/ --expires 5m --mandatory --file order.json order:123
  slipstream send --to ws://127.0.0.1:7171/ --file events.jsonl events -
  tail -f events.jsonl | slipstream send --to ws://127.0.0.1:7171/ --id app-1 --message-id-field id events -

Sent again: the lines of a stream have ids made of their place, their content and where they go. So a stream that failed
halfway can be sent again as a whole, with the same command: what the relay has already is confirmed and not delivered
twice, within the relay's dedup window (an hour unless configured). If the same lines are to count as new messages within
that time, name each stream: --stream 2026-11-28. What is typed at a terminal is always new.

The exit status is 0 when the relay has confirmed every message, 1 if one was not, and 2 if the command is not right.
stderr says why.";

/// Sends one message, or one for each line of an input, and waits until the relay has confirmed all.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    #[command(flatten)]
    pub(super) to: RelayUrl,
    /// The id to send under. Without one the relay makes one for this link.
    #[arg(long)]
    pub(super) id: Option<PeerId>,
    /// Type of the message: SK, SA, SW, GK, GA, GW, CMD or a custom one.
    #[arg(long = "type", value_name = "TYPE", default_value = "SK", value_parser = message_type)]
    pub(super) message_type: MessageType,
    /// Only peers with one of these tags get it (targetedTags). Without any, every peer does.
    #[arg(long, value_delimiter = ',')]
    pub(super) tags: Vec<Tag>,
    /// Of the applications, only these get it (targetedInstances).
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    pub(super) instances: Vec<PeerId>,
    /// Drops what is not delivered by then: a duration from when it is sent, such as 30s, 5m or 7d, or a time, such as
    /// 2026-11-28T12:00:00Z or milliseconds since 1970 (expiresAt).
    #[arg(long, value_name = "TIME", value_parser = Expiry::parse)]
    pub(super) expires: Option<Expiry>,
    /// Has the relay refuse the message if no peer gets it.
    #[arg(long)]
    pub(super) mandatory: bool,
    /// The id of the message. One that the relay has already is confirmed, and not delivered again.
    #[arg(long, value_name = "ID", conflicts_with_all = ["message_id_field", "stream"])]
    pub(super) message_id: Option<MessageId>,
    /// Takes the id of each message from this field of its value, a JSON object. The field stays in the value.
    #[arg(long, value_name = "FIELD", conflicts_with = "stream")]
    pub(super) message_id_field: Option<String>,
    /// Names the stream whose lines are sent; under another name the same lines are other messages.
    #[arg(long, value_name = "NAME", value_parser = stream_name)]
    pub(super) stream: Option<String>,
    /// Sends the value as a string also if it parses as JSON.
    #[arg(long)]
    pub(super) string: bool,
    /// The value is what this file holds. With `-` as VALUE each of its lines is a message. `-` is stdin.
    #[arg(long, value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// Gives up if the relay confirms nothing for so long while it should.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = patience)]
    pub(super) timeout: Duration,
    /// Prints nothing on stdout.
    #[arg(long, conflicts_with = "json")]
    pub(super) quiet: bool,
    /// Prints one JSON object a message instead of a line for people.
    #[arg(long)]
    pub(super) json: bool,
    /// What the message is about.
    pub(super) key: Key,
    /// JSON if it parses as JSON, otherwise a string; `-` sends one message for each line of stdin, or of --file.
    #[arg(allow_negative_numbers = true, required_unless_present = "file")]
    pub(super) value: Option<String>,
}

impl Arguments {
    /// Whether each line of an input is a message.
    pub(super) fn is_stream(&self) -> bool {
        self.value.as_deref() == Some("-")
    }

    /// Whether all that is asked for goes together.
    ///
    /// # Errors
    /// What does not, in words.
    pub(super) fn check(&self, clock: &SystemClock) -> Result<(), String> {
        if self.is_stream() && self.message_id.is_some() {
            return Err("--message-id: it is the id of one message; the messages of a stream have theirs from \
                        --message-id-field or --stream"
                .to_owned());
        }
        if !self.is_stream() && self.stream.is_some() {
            return Err("--stream: it names a stream; expected - as VALUE".to_owned());
        }
        if !self.is_stream() && self.value.is_some() && self.file.is_some() {
            return Err("--file: the value comes from the file; expected no VALUE, or - to send each line".to_owned());
        }
        match self.expires {
            Some(Expiry::At(time)) if time <= clock.wall() => Err(format!(
                "--expires: expected a time in the future, got {} (milliseconds since 1970)",
                time.as_millis()
            )),
            _ => Ok(()),
        }
    }
}

fn patience(text: &str) -> Result<Duration, String> {
    config::duration(text, Duration::from_millis(1)).map_err(|expected| format!("expected {expected}"))
}

fn message_type(text: &str) -> Result<MessageType, String> {
    match text {
        "ACK" | "NACK" => Err(format!("`{text}` is the type of an answer, and none of a message")),
        _ => MessageType::new(text).map_err(|fault| fault.to_string()),
    }
}

/// Reads the name of a stream.
fn stream_name(text: &str) -> Result<String, String> {
    if (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err(format!("expected 1 to {MAX_NAME_BYTES} of the ASCII characters `!` to `~`"))
}

#[cfg(test)]
pub(super) mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    /// Arguments of a test; `--to` may be given again.
    pub(in super::super) fn arguments(line: &[&str]) -> Arguments {
        Line::try_parse_from([&["send"], line].concat()).expect("arguments").arguments
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        for (line, told) in [
            (&["--message-id", "m", "k", "-"][..], "--message-id"),
            (&["--stream", "s", "k", "v"], "--stream"),
            (&["--file", "f", "k", "v"], "--file"),
            (&["--expires", "1000000000000", "k", "v"], "in the future, got 1000000000000"),
        ] {
            let checked = arguments(line).check(&SystemClock::new());
            assert!(checked.expect_err("refused").contains(told), "{line:?}");
        }
        for line in [
            &["--message-id", "m", "--message-id-field", "f", "k", "v"][..],
            &["--message-id-field", "f", "--stream", "s", "k", "-"],
            &["--quiet", "--json", "k", "v"],
            &["--stream", "a b", "k", "-"],
            &["--stream", "", "k", "-"],
            &["--instances", "a b", "k", "v"],
            &["--instances", "", "k", "v"],
            &["--message-id", "", "k", "v"],
            &["--expires", "soon", "k", "v"],
            &["--timeout", "0", "k", "v"],
            &["--type", "ACK", "k", "v"],
            &["--type", "NACK", "k", "v"],
            &["k"],
        ] {
            assert!(Line::try_parse_from([&["send"], line].concat()).is_err(), "{line:?}");
        }
    }
}
