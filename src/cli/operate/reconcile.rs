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
  slipstream reconcile aws azure --json

The exit status is 1 if the relays differ. They are compared by what their traces tell, so as far back as
SLIPSTREAM_TRACE_RETENTION and SLIPSTREAM_TRACE_MAX_BYTES allow at both.";

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
    let hours = compare(&one, &other).await?;
    if arguments.json {
        for hour in &hours {
            output::record(hour)?;
        }
    } else {
        output::line(&shown(&hours, &one.id, &other.id))?;
    }
    let differ = hours.iter().any(|hour| hour.verdict == Verdict::Differs);
    Ok(if differ { ExitCode::from(output::FAILED) } else { ExitCode::SUCCESS })
}

/// The relay of which a URL or an id was given.
fn admin(arguments: &Arguments, given: &str) -> Result<AdminUrl, Failure> {
    if given.contains("://") {
        return arguments.access.at(given.to_owned());
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
    let found = hours.iter().filter_map(|hour| Some((hour, hour.first.as_ref()?)));
    let found = found.map(|(Hour { from, to, hour, differing, .. }, first)| {
        lines([
            format!("{from} to {to}, {hour}: {differing} differ. The first:"),
            format!("  {} of {}", first.message_id, first.cluster_group_id),
            format!("  {}", first.difference.told(from, to)),
        ])
    });
    std::iter::once(table).chain(found).collect::<Vec<_>>().join("\n\n")
}

fn in_words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Agrees => "agrees",
        Verdict::Forgotten => "partly forgotten",
        Verdict::OnTheWay => "on the way",
        Verdict::Differs => "differs",
    }
}
