//! `slipstream reconcile`: whether two relays agree on what they handed to each other.

mod comparison;
mod differences;
mod side;

use std::process::ExitCode;

use clap::Args;

use self::comparison::{Hour, Verdict, compare};
use self::side::Side;
use super::Done;
use super::table::{lines, table};
use crate::admin::AdminUrl;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::urls::AdminAccess;

const EXAMPLE: &str = "\
Examples:
  slipstream reconcile http://10.0.0.4:8080 http://10.1.0.4:8080
  slipstream reconcile aws azure --relay aws=http://10.0.0.4:8080 --relay azure=https://10.1.0.4:8080
  slipstream reconcile aws azure --list --json

The exit status is 0 if the relays agree, 3 if they differ, 4 if it is not known of an hour whether they do, and otherwise
another. They are compared by what their traces tell, so as far back as SLIPSTREAM_TRACE_RETENTION and
SLIPSTREAM_TRACE_MAX_BYTES allow at both.";

/// The exit status if the relays differ, and if that is not known.
const DIFFER: u8 = 3;
const NOT_KNOWN: u8 = 4;

/// `reconcile`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// A relay: the URL of its admin port, or an id that --relay or SLIPSTREAM_ADMIN_URLS has the URL of.
    #[arg(value_name = "A")]
    one: String,
    /// The other relay, likewise.
    #[arg(value_name = "B")]
    other: String,
    /// The admin port of a relay, by its id; repeated for each [SLIPSTREAM_ADMIN_URLS, separated by commas].
    #[arg(long, value_name = "ID=URL")]
    relay: Vec<String>,
    /// Names each message that differs, up to ten thousand an hour, not only the first.
    #[arg(long)]
    list: bool,
    /// Prints JSON, one object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: AdminAccess,
}

pub(in crate::cli) async fn run(arguments: &Arguments) -> Done {
    let one = Side::at(admin(arguments, &arguments.one)?).await?;
    let other = Side::at(admin(arguments, &arguments.other)?).await?;
    if one.id == other.id {
        return Err(Failure::Misused(format!("expected two relays, got twice the relay {}", one.id)));
    }
    let mut hours = compare(&one, &other).await?;
    if !arguments.list {
        hours.iter_mut().for_each(|hour| hour.messages.truncate(1));
    }
    if arguments.json {
        for hour in &hours {
            output::record(hour)?;
        }
    } else {
        output::line(&shown(&hours, &one.id, &other.id))?;
    }
    let worst = hours.iter().map(|hour| hour.verdict).max().unwrap_or(Verdict::Agrees);
    Ok(match worst {
        Verdict::Agrees => ExitCode::SUCCESS,
        Verdict::PartlyForgotten | Verdict::OnTheWay => ExitCode::from(NOT_KNOWN),
        Verdict::Differs => ExitCode::from(DIFFER),
    })
}

/// The relay of which a URL or an id was given.
fn admin(arguments: &Arguments, given: &str) -> Result<AdminUrl, Failure> {
    if given.contains("://") {
        let admin = arguments.access.at(given.to_owned())?;
        return admin.checked().map_err(|fault| Failure::Misused(fault.to_string()));
    }
    let expected = || {
        let expected = "expected a URL, or an id that --relay or SLIPSTREAM_ADMIN_URLS has the URL of";
        Failure::Misused(format!("{given}: {expected}"))
    };
    arguments.access.others(&arguments.relay)?.remove(given).ok_or_else(expected)
}

fn shown(hours: &[Hour], one: &str, other: &str) -> String {
    if hours.is_empty() {
        return lines([format!("{one} and {other} have not handed each other a message that is still traced.")]);
    }
    let rows = hours.iter().map(|hour| {
        [
            hour.from.clone(),
            hour.to.clone(),
            hour.hour.clone(),
            hour.sent.to_string(),
            hour.acknowledged.to_string(),
            hour.received.to_string(),
            in_words(hour.verdict).to_owned(),
        ]
    });
    let table = table(["from", "to", "hour", "#sent", "#acknowledged", "#received", "verdict"], rows);
    let found = hours.iter().filter(|hour| hour.differing > 0).map(named);
    std::iter::once(table).chain(found).collect::<Vec<_>>().join("\n\n")
}

/// The messages of an hour that differ.
fn named(Hour { from, to, hour, differing, messages, .. }: &Hour) -> String {
    let which = if messages.len() == 1 { " The first:" } else { "" };
    let head = format!("{from} to {to}, {hour}: {differing} differ.{which}");
    let each = messages.iter().map(|found| {
        let told = found.difference.told(from, to);
        format!("  {} of {}: {told}", found.message_id, found.cluster_group_id)
    });
    lines(std::iter::once(head).chain(each))
}

fn in_words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Agrees => "agrees",
        Verdict::PartlyForgotten => "partly forgotten",
        Verdict::OnTheWay => "on the way",
        Verdict::Differs => "differs",
    }
}
