//! `slipstream monitor`: messages as they pass a relay.

use std::num::NonZeroU64;
use std::process::ExitCode;

use clap::Args;

use super::flags::Flags;
use super::{Done, Failure};
use crate::admin::client::{Events, part};
use crate::admin::{ClientError, PassingBody};
use crate::cli::output;

const EXAMPLE: &str = "\
Examples:
  slipstream monitor
  slipstream monitor --peer shop-1 --rate 5
  slipstream monitor --type CMD --count 10 --json

It is no peer: nothing is owed to it, and nothing waits for it. Values are never shown; `listen` shows them, as a peer.";

/// `monitor`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// Only messages that come from this peer, or go to it.
    #[arg(long, value_name = "ID")]
    peer: Option<String>,
    /// Only messages of this type.
    #[arg(long, value_name = "TYPE")]
    r#type: Option<String>,
    /// At most so many a second, 1 to 1,000; of more, some are shown.
    #[arg(long, value_name = "MESSAGES", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rate: u32,
    /// Ends after so many.
    #[arg(long, value_name = "MESSAGES")]
    count: Option<NonZeroU64>,
    #[command(flatten)]
    flags: Flags,
}

pub(in crate::cli) async fn run(arguments: &Arguments) -> Done {
    let admin = arguments.flags.admin.read()?;
    let mut path = format!("/api/v1/monitor?rate={}", arguments.rate);
    for (name, value) in [("peer", &arguments.peer), ("type", &arguments.r#type)] {
        if let Some(value) = value {
            path += &format!("&{name}={}", part(value));
        }
    }
    let mut left = arguments.count.map_or(u64::MAX, NonZeroU64::get);
    while left > 0 {
        // The relay ends them after a while, so that nobody keeps a place who is gone.
        let mut events = Events::begin(&admin, &path).await?;
        while left > 0
            && let Some(data) = events.next().await?
        {
            let unread =
                |error: serde_json::Error| ClientError::NoAnswer { url: path.clone(), problem: error.to_string() };
            let passing: PassingBody = serde_json::from_slice(&data).map_err(unread).map_err(Failure::Relay)?;
            if arguments.flags.json {
                output::record(&passing)?;
            } else {
                output::line(&shown(&passing))?;
            }
            left -= 1;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `15:32:02.123  SK order:123  shop > bank, gcp  01K8…  256 bytes`.
fn shown(passing: &PassingBody) -> String {
    let PassingBody { at, message_id, key, from, recipients, recipient_count, bytes, skipped, r#type, .. } = passing;
    let time = at.split_once('T').map_or(at.as_str(), |(_, time)| time.trim_end_matches('Z'));
    let to = match (recipients.as_slice(), recipient_count.saturating_sub(recipients.len())) {
        ([], _) => "nobody".to_owned(),
        (named, 0) => named.join(", "),
        (named, more) => format!("{} and {more} more", named.join(", ")),
    };
    let key = key.as_deref().map(|key| format!(" {key}")).unwrap_or_default();
    let skipped = if *skipped > 0 { format!("  ({skipped} not shown before)") } else { String::new() };
    output::printable(&format!("{time}  {}{key}  {from} > {to}  {message_id}  {bytes} bytes{skipped}", r#type))
}
