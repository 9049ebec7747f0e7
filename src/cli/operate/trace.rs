//! `slipstream trace`: what one relay knows of a message, or with `--follow` what each does that it came to.

use std::process::ExitCode;

use clap::Args;

use super::Done;
use super::flags::Flags;
use super::follow::{drawn, follow};
use super::table::{lines, or_dash, table};
use crate::admin::MessageBody;
use crate::admin::client::{get, part};
use crate::cli::output;

const EXAMPLE: &str = "\
Examples:
  slipstream trace 01K8ZJ4M6Q4T2V0N4X2W3Y5Z6A
  slipstream trace order-4711 --group shops --json
  slipstream trace order-4711 --follow --relay azure=http://10.1.0.4:8080 --relay gcp=https://10.2.0.4:8080

The exit status is 1 if nothing is known of the message. A message is known while it is owed to anybody, and after its last
delivery is settled for SLIPSTREAM_TRACE_RETENTION.";

/// `trace`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// The message's id.
    message_id: String,
    /// The message's cluster group. Without it the groups of the relay and of its peers are looked at.
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Goes on to the relays that the message was passed on to, and shows its way as one tree.
    #[arg(long)]
    follow: bool,
    /// The admin port of another relay, by the id that the relay has here; repeated for each. It is shown the same token
    /// [SLIPSTREAM_ADMIN_URLS, separated by commas].
    #[arg(long, value_name = "ID=URL", requires = "follow")]
    relay: Vec<String>,
    #[command(flatten)]
    flags: Flags,
}

pub(in crate::cli) async fn run(arguments: &Arguments) -> Done {
    let admin = arguments.flags.admin.read()?;
    let group = arguments.group.as_deref().map(|group| format!("?clusterGroupId={}", part(group)));
    let path = format!("/api/v1/messages/{}{}", part(&arguments.message_id), group.unwrap_or_default());
    let message: MessageBody = get(&admin, &path).await?;
    if arguments.follow {
        let head = head(&message);
        let followed = follow(message, &path, &arguments.flags.admin.access.others(&arguments.relay)?).await;
        if arguments.flags.json {
            output::record(&followed)?;
        } else {
            output::line(&format!("{head}\n\n{}", drawn(&followed).join("\n")))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.flags.json {
        output::record(&message)?;
    } else {
        output::line(&shown(&message))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn head(message: &MessageBody) -> String {
    lines([
        format!("message {} of {}", message.message_id, message.cluster_group_id),
        format!("  type      {}", message.message_type),
        format!("  key       {}", or_dash(message.key.as_deref())),
        format!("  received  {} from {}", message.received_at, message.received_from),
        format!("  path      {}", message.message_path.join(" > ")),
    ])
}

fn shown(message: &MessageBody) -> String {
    let head = head(message);
    if message.deliveries.is_empty() {
        return format!("{head}\n\nIt matched no peer.");
    }
    let rows = message.deliveries.iter().map(|delivery| {
        [
            delivery.peer.clone(),
            delivery.state.clone(),
            delivery.attempts.to_string(),
            delivery.sequence.to_string(),
            or_dash(delivery.settled_at.as_deref().or(delivery.last_attempt_at.as_deref())),
            or_dash(delivery.reason.as_deref()),
        ]
    });
    let columns = ["peer", "state", "#republished", "#sequence", "settled or tried", "reason"];
    format!("{head}\n\n{}", table(columns, rows))
}
