//! `slipstream status`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use indicatif::HumanBytes;

use super::Done;
use super::flags::Flags;
use super::peers::{every_peer, peers_table};
use super::table::{lines, passed};
use crate::admin::client::get;
use crate::admin::{AdminUrl, PeerItem, Status};
use crate::cli::output;

const EXAMPLE: &str = "\
Examples:
  slipstream status
  slipstream status --watch
  slipstream status --admin https://relay.example:8080 --tls-ca ca.pem --json

The exit status is 1 if the relay does not answer, or takes no messages.";

/// `status`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// Shows it anew every so many seconds, until it is stopped.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "2",
        value_parser = clap::value_parser!(u64).range(1..=86_400))]
    watch: Option<u64>,
    #[command(flatten)]
    flags: Flags,
}

pub(in crate::cli) async fn run(arguments: &Arguments) -> Done {
    let admin = arguments.flags.admin.read()?;
    loop {
        let status: Status = get(&admin, "/api/v1/status").await?;
        if arguments.flags.json {
            output::record(&status)?;
        } else {
            let shown = shown(&admin, &status, &every_peer(&admin).await?);
            if arguments.watch.is_some() {
                output::clear()?;
            }
            output::line(&shown)?;
        }
        let Some(seconds) = arguments.watch else {
            return Ok(if status.ready { ExitCode::SUCCESS } else { ExitCode::from(output::FAILED) });
        };
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }
}

fn shown(admin: &AdminUrl, status: &Status, peers: &[PeerItem]) -> String {
    let Status { store, .. } = status;
    let size = |bytes: Option<u64>| bytes.map_or_else(|| "unknown".to_owned(), |bytes| HumanBytes(bytes).to_string());
    let mut of_relay = vec![
        format!("relay {}, slipstream {}, up {}", status.instance_id, status.version, passed(status.uptime_seconds)),
        match status.ready {
            true => "  ready       yes".to_owned(),
            false => format!("  ready       NO: {}", status.reasons.join("; ")),
        },
    ];
    of_relay.extend(status.degraded.iter().map(|why| format!("  degraded    {why}")));
    of_relay.extend([
        format!("  links       {}", status.listen.as_deref().unwrap_or("off")),
        format!("  admin       {admin}"),
        format!("  store       {} at {}, durability {}", store.engine, store.path, store.durability),
        format!("              {}, {} free", size(store.bytes), size(store.free_bytes)),
        format!("  guarantee   {}", store.guarantee),
        format!("  peers       {} up, {} down, {} paused", status.peers.up, status.peers.down, status.peers.paused),
        format!("  backlog     {}", status.backlog),
        format!("  dead        {}", status.dead_letters.map_or_else(|| "unknown".to_owned(), |dead| dead.to_string())),
    ]);
    if !status.open_circuits.is_empty() {
        of_relay.push(format!("  circuits    open: {}", status.open_circuits.join(", ")));
    }
    let of_peers = if peers.is_empty() {
        "No peer has linked yet. Try: slipstream listen --to URL --id app-1".to_owned()
    } else {
        peers_table(peers)
    };
    format!("{}\n\n{of_peers}", lines(of_relay))
}
