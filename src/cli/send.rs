//! `slipstream send`: one message, or one for each line of stdin.

use std::collections::HashSet;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, bail};
use clap::Args;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::RawValue;
use slipstream_store::{Key, MessageId, MessageType, PeerId, Tag};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::frame::Frame;
use super::lines::Lines;
use super::output;
use crate::client::{Client, ClientOptions, ClientReceiver, ClientSender, Received};
use crate::clock::{Clock as _, SystemClock};

/// Most messages that are sent and not yet answered.
const IN_FLIGHT: u32 = 1024;

const EXAMPLE: &str = "\
Examples:
  slipstream send --to ws://127.0.0.1:7171/ order:123 '{\"total\":100}'
  slipstream send --to ws://127.0.0.1:7171/ --type SA --tags aws,production groups '[\"a\",\"b\"]'
  tail -f events.jsonl | slipstream send --to ws://127.0.0.1:7171/ --id app-1 events -

The exit status is 1 where a message was not acknowledged; stderr says why.";

/// Sends one message, or one for each line of stdin, and waits until the relay has confirmed all.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// The relay, ws://HOST:PORT/.
    #[arg(long, value_name = "URL")]
    to: String,
    /// The id to send under. Without one the relay makes one for this link.
    #[arg(long)]
    id: Option<PeerId>,
    /// Type of the message: SK, SA, SW, GK, GA, GW, CMD or a custom one.
    #[arg(long = "type", value_name = "TYPE", default_value = "SK")]
    message_type: MessageType,
    /// Only peers with one of these tags get it (targetedTags). Without any, every peer does.
    #[arg(long, value_delimiter = ',')]
    tags: Vec<Tag>,
    /// Sends the value as a string also where it parses as JSON.
    #[arg(long)]
    string: bool,
    /// Prints one JSON object a message instead of a line for people.
    #[arg(long)]
    json: bool,
    /// What the message is about.
    key: Key,
    /// JSON where it parses as JSON, otherwise a string; `-` sends one message for each line of stdin.
    #[arg(allow_negative_numbers = true)]
    value: String,
}

/// A message as it goes to the relay.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    r#type: &'a str,
    key: &'a str,
    value: &'a RawValue,
    message_id: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    targeted_tags: Vec<&'a str>,
}

impl Arguments {
    /// The message that carries this value, as text.
    fn message(&self, value: &str, id: &MessageId) -> serde_json::Result<String> {
        let value = match serde_json::from_str::<Box<RawValue>>(value) {
            Ok(json) if !self.string => json,
            _ => serde_json::value::to_raw_value(value)?,
        };
        serde_json::to_string(&Message {
            r#type: self.message_type.as_str(),
            key: self.key.as_str(),
            value: &value,
            message_id: id.as_str(),
            targeted_tags: self.tags.iter().map(Tag::as_str).collect(),
        })
    }
}

/// A run of the command: what was sent and is not answered, and how it went so far.
struct Sending<'a> {
    arguments: &'a Arguments,
    unanswered: Mutex<HashSet<MessageId>>,
    slots: Semaphore,
    refused: AtomicU64,
    answered: CancellationToken,
    ids: SystemClock,
}

impl Sending<'_> {
    /// Sends every message, and waits for the last answer; also where stdin ends in a fault, for what was sent before.
    async fn feed(&self, sender: &mut ClientSender) -> anyhow::Result<()> {
        let fed = self.send_all(sender).await;
        sender.flush().await?;
        let _all = self.slots.acquire_many(IN_FLIGHT).await?;
        self.answered.cancel();
        fed
    }

    async fn send_all(&self, sender: &mut ClientSender) -> anyhow::Result<()> {
        if self.arguments.value != "-" {
            return self.send(sender, &self.arguments.value).await;
        }
        let mut lines = Lines::new(tokio::io::stdin());
        while let Some(line) = lines.next().await.context("stdin")? {
            self.send(sender, &line).await?;
            if !lines.has_another() {
                sender.flush().await?;
            }
        }
        Ok(())
    }

    async fn send(&self, sender: &mut ClientSender, value: &str) -> anyhow::Result<()> {
        if self.slots.available_permits() == 0 {
            sender.flush().await?;
        }
        // The slot is given back by the answer.
        self.slots.acquire().await?.forget();
        let id = MessageId::new(self.ids.ulid().to_string())?;
        let text = self.arguments.message(value, &id)?;
        self.unanswered.lock().insert(id);
        sender.send(&text).await?;
        Ok(())
    }
}

/// What became of a message, as `--json` prints it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    message_id: &'a str,
    acknowledged: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl<'a> Sending<'a> {
    fn new(arguments: &'a Arguments) -> Self {
        Self {
            arguments,
            unanswered: Mutex::default(),
            slots: Semaphore::new(IN_FLIGHT as usize),
            refused: AtomicU64::new(0),
            answered: CancellationToken::new(),
            ids: SystemClock::new(),
        }
    }

    /// Takes answers until every message has one. Messages that come meanwhile are left to the next link of this id:
    /// they are not acknowledged.
    async fn collect(&self, receiver: &mut ClientReceiver) -> anyhow::Result<()> {
        while let Some(received) = self.answered.run_until_cancelled(receiver.next()).await {
            match received.context("the link was lost")?? {
                Received::Text(text) => self.take(std::str::from_utf8(&text)?)?,
                Received::Closed { code, reason } => {
                    bail!("the relay closed the link{}", output::close_reason(code, &reason))
                }
            }
        }
        Ok(())
    }

    fn take(&self, text: &str) -> anyhow::Result<()> {
        let frame = Frame::read(text)?;
        let ids = frame.message_ids.iter().chain(&frame.message_id);
        match &*frame.r#type {
            "ACK" => {
                for id in ids {
                    self.settle(id, None)?;
                }
            }
            "NACK" => {
                let refusal = [&frame.code, &frame.reason].map(|part| part.as_deref().unwrap_or_default()).join(": ");
                for id in ids {
                    self.settle(id, Some(&refusal))?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Notes the answer to a message and prints it. One that is not awaited says nothing.
    fn settle(&self, id: &str, refused: Option<&str>) -> std::io::Result<()> {
        if !self.unanswered.lock().remove(id) {
            return Ok(());
        }
        if let Some(reason) = refused {
            self.refused.fetch_add(1, Ordering::Relaxed);
            output::complain(&format_args!("{id} was not acknowledged: {}", output::printable(reason)));
        }
        let printed = match (self.arguments.json, refused) {
            (true, _) => output::record(&Answer { message_id: id, acknowledged: refused.is_none(), reason: refused }),
            (false, None) => output::line(&format!("acknowledged {id}")),
            (false, Some(_)) => Ok(()),
        };
        self.slots.add_permits(1);
        printed
    }
}

/// Sends what `arguments` say. It ends when every message is answered, when the link is lost, or when stdin cannot be
/// read.
pub(super) async fn run(arguments: &Arguments) -> ExitCode {
    let options = ClientOptions { id: arguments.id.clone(), ..ClientOptions::default() };
    let client = match Client::connect(&arguments.to, &options).await {
        Ok(client) => client,
        Err(fault) => return output::fail(output::FAILED, &format_args!("{}: {fault}", arguments.to)),
    };
    let (mut sender, mut receiver) = client.split();
    let sending = Sending::new(arguments);
    let outcome = tokio::try_join!(sending.feed(&mut sender), sending.collect(&mut receiver));
    if outcome.is_ok() {
        // Every message has its answer, so a link that ends otherwise takes nothing away.
        drop(sender.close().await);
    }
    let refused = sending.refused.load(Ordering::Relaxed);
    let unanswered = sending.unanswered.lock().len();
    match outcome {
        Ok(_) if refused == 0 => ExitCode::SUCCESS,
        Ok(_) => output::fail(output::FAILED, &format_args!("not acknowledged: {refused}")),
        Err(fault) => {
            let told = format_args!("{fault:#}; not acknowledged: {refused}, without an answer: {unanswered}");
            output::fail(output::FAILED, &told)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn message(line: &[&str]) -> String {
        let line = [&["send", "--to", "ws://host/"], line].concat();
        let arguments = Line::try_parse_from(line).expect("arguments").arguments;
        arguments.message(&arguments.value, &MessageId::new("m").expect("an id")).expect("a message")
    }

    #[test]
    fn a_value_is_json_where_it_parses_as_json_and_a_string_otherwise() {
        for (value, json) in [
            (r#"{"total": 1.50}"#, r#"{"total": 1.50}"#),
            ("-5", "-5"),
            ("12345678901234567890123", "12345678901234567890123"),
            ("null", "null"),
            ("hello", r#""hello""#),
            ("", r#""""#),
            ("{broken", r#""{broken""#),
            ("1 2", r#""1 2""#),
        ] {
            let expected = format!(r#"{{"type":"SK","key":"k","value":{json},"messageId":"m"}}"#);
            assert_eq!(message(&["k", value]), expected);
        }
        assert_eq!(message(&["--string", "k", "5"]), r#"{"type":"SK","key":"k","value":"5","messageId":"m"}"#);
    }

    #[test]
    fn type_and_tags_go_into_the_message() {
        assert_eq!(
            message(&["--type", "SA", "--tags", "aws,production", "a\"b", "[]"]),
            r#"{"type":"SA","key":"a\"b","value":[],"messageId":"m","targetedTags":["aws","production"]}"#
        );
    }
}
