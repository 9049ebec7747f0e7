//! `slipstream listen`: prints the messages that come.

use std::num::NonZeroU64;
use std::pin::pin;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use slipstream_store::{ClusterGroup, MessageId, PeerId, Tag};

use super::frame::Frame;
use super::output;
use crate::client::{Client, ClientOptions, Received};

const EXAMPLE: &str = "\
Examples:
  slipstream listen --to ws://127.0.0.1:7171/ --id app-1
  slipstream listen --to ws://127.0.0.1:7171/ --id app-1 --tags aws,production --count 10 --json

From the first time on the relay holds messages for this id while nobody listens. The exit status is 0 after --count
messages or Ctrl-C, and 1 where the link was lost.";

/// Prints the messages that come, one line each, and acknowledges each when it is printed.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// The relay, ws://HOST:PORT/.
    #[arg(long, value_name = "URL")]
    to: String,
    /// The id to listen under.
    #[arg(long)]
    id: PeerId,
    /// Tags to carry, which messages may target.
    #[arg(long, value_delimiter = ',')]
    tags: Vec<Tag>,
    /// Ends after this many messages.
    #[arg(long, value_name = "NUMBER")]
    count: Option<NonZeroU64>,
    /// Does not acknowledge: the relay will send the messages again.
    #[arg(long)]
    no_ack: bool,
    /// Prints each message as it came, as one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Prints what comes until the count is reached or Ctrl-C.
pub(super) async fn run(arguments: &Arguments) -> ExitCode {
    let options =
        ClientOptions { id: Some(arguments.id.clone()), tags: arguments.tags.clone(), ..ClientOptions::default() };
    let client = match Client::connect(&arguments.to, &options).await {
        Ok(client) => client,
        Err(fault) => return output::fail(output::FAILED, &format_args!("{}: {fault}", arguments.to)),
    };
    match print(arguments, client).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => output::fail(output::FAILED, &format_args!("{fault:#}")),
    }
}

async fn print(arguments: &Arguments, client: Client) -> anyhow::Result<()> {
    let (mut sender, mut receiver) = client.split();
    let mut interrupt = pin!(tokio::signal::ctrl_c());
    let mut left = arguments.count.map_or(u64::MAX, NonZeroU64::get);
    while left > 0 {
        let received = tokio::select! {
            _ = &mut interrupt => break,
            received = receiver.next() => received.context("the link was lost")??,
        };
        let text = match received {
            Received::Text(text) => text,
            Received::Closed { code, reason } => {
                bail!("the relay closed the link{}", output::close_reason(code, &reason))
            }
        };
        let text = std::str::from_utf8(&text)?;
        let frame = Frame::read(text)?;
        let Some(id) = message(&frame) else { continue };
        let line = if arguments.json { output::one_line(text) } else { frame.to_string() };
        output::line(&line)?;
        if !arguments.no_ack {
            let group = frame.cluster_group_id.as_deref().map(ClusterGroup::new).transpose()?;
            sender.acknowledge(&[MessageId::new(id)?], group.as_ref()).await?;
            sender.flush().await?;
        }
        left -= 1;
    }
    sender.close().await?;
    Ok(())
}

/// The id of a message that came; `None` for an ACK or NACK, which answer nothing that this command sent.
fn message<'a>(frame: &'a Frame<'_>) -> Option<&'a str> {
    match &*frame.r#type {
        "ACK" | "NACK" => None,
        _ => frame.message_id.as_deref(),
    }
}
