//! `slipstream trace`.

use std::process::ExitCode;

use clap::Args;

use super::Done;
use super::flags::Flags;
use super::table::{lines, or_dash, table};
use crate::admin::MessageBody;
use crate::admin::client::{get, part};
use crate::cli::output;

const EXAMPLE: &str = "\
Examples:
  slipstream trace 01K8ZJ4M6Q4T2V0N4X2W3Y5Z6A
  slipstream trace order-4711 --group shops --json

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
    #[command(flatten)]
    flags: Flags,
}

pub(in crate::cli) async fn run(arguments: &Arguments) -> Done {
    let admin = arguments.flags.admin.read()?;
    let group = arguments.group.as_deref().map(|group| format!("?clusterGroupId={}", part(group)));
    let path = format!("/api/v1/messages/{}{}", part(&arguments.message_id), group.unwrap_or_default());
    let message: MessageBody = get(&admin, &path).await?;
    if arguments.flags.json {
        output::record(&message)?;
    } else {
        output::line(&shown(&message))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn shown(message: &MessageBody) -> String {
    let head = lines([
        format!("message {} of {}", message.message_id, message.cluster_group_id),
        format!("  type      {}", message.message_type),
        format!("  key       {}", or_dash(message.key.as_deref())),
        format!("  received  {} from {}", message.received_at, message.received_from),
        format!("  path      {}", message.message_path.join(" > ")),
    ]);
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
