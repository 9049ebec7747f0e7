//! `slipstream top`: how fast messages flow, peer by peer.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::num::NonZeroU64;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

use super::Done;
use super::flags::Flags;
use super::peers::every_peer;
use super::table::{lines, passed, table};
use crate::admin::client::get;
use crate::admin::{PeerItem, Status};
use crate::cli::output;

const EXAMPLE: &str = "\
Examples:
  slipstream top
  slipstream top --by backlog --interval 5
  slipstream top --count 1 --json";

/// Most peers that are shown.
const SHOWN: usize = 40;

/// `top`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// Seconds between two looks, over which rates are taken.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    interval: u64,
    /// Ends after so many times.
    #[arg(long, value_name = "TIMES")]
    count: Option<NonZeroU64>,
    /// Which peers come first.
    #[arg(long, value_name = "WHAT", default_value = "rate")]
    by: By,
    #[command(flatten)]
    flags: Flags,
}

/// What the peers are put in order by, the most first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// What they send and get a second.
    Rate,
    /// What they are owed.
    Backlog,
    /// How long they have been owed it.
    Oldest,
}

/// How fast messages flow, between two looks.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rates {
    instance_id: String,
    received_per_second: f64,
    delivered_per_second: f64,
    backlog: u64,
    dead_letters: Option<u64>,
    peers: Vec<PeerRates>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PeerRates {
    id: String,
    link: String,
    paused: bool,
    sends_per_second: f64,
    gets_per_second: f64,
    backlog: u64,
    /// How fast the backlog grows, or shrinks.
    backlog_per_second: f64,
    in_flight: u64,
    oldest_age_seconds: Option<f64>,
}

/// A relay as it was when somebody looked.
struct Look {
    status: Status,
    peers: Vec<PeerItem>,
}

pub(in crate::cli) async fn run(arguments: &Arguments) -> Done {
    let admin = arguments.flags.admin.read()?;
    let look = async || {
        Ok::<_, super::Failure>(Look { status: get(&admin, "/api/v1/status").await?, peers: every_peer(&admin).await? })
    };
    let mut ticks = interval(Duration::from_secs(arguments.interval));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut before = look().await?;
    let mut left = arguments.count.map_or(u64::MAX, NonZeroU64::get);
    while left > 0 {
        ticks.tick().await;
        let now = look().await?;
        let rates = Rates::between(&before, &now, arguments.by);
        if arguments.flags.json {
            output::record(&rates)?;
        } else {
            output::clear()?;
            output::line(&shown(&rates))?;
        }
        before = now;
        left -= 1;
    }
    Ok(ExitCode::SUCCESS)
}

impl Rates {
    /// The relay's own clock says how much time was between the two. After a restart of the relay nothing is known.
    fn between(before: &Look, now: &Look, by: By) -> Self {
        let seconds = now.status.uptime_seconds - before.status.uptime_seconds;
        #[expect(clippy::cast_precision_loss, reason = "a rate is a float")]
        let change = |then: u64, now: u64| (now as f64 - then as f64) / seconds;
        let grown = |then: u64, now: u64| if seconds > 0.0 && now >= then { change(then, now) } else { 0.0 };
        let known: HashMap<&str, &PeerItem> = before.peers.iter().map(|peer| (peer.id.as_str(), peer)).collect();
        let of_peer = |peer: &PeerItem| {
            let then = known.get(peer.id.as_str()).copied().unwrap_or(peer);
            PeerRates {
                id: peer.id.clone(),
                link: peer.link.clone(),
                paused: peer.paused,
                sends_per_second: grown(then.received, peer.received),
                gets_per_second: grown(then.delivered, peer.delivered),
                backlog: peer.backlog,
                backlog_per_second: if seconds > 0.0 { change(then.backlog, peer.backlog) } else { 0.0 },
                in_flight: peer.in_flight,
                oldest_age_seconds: peer.oldest_age_seconds,
            }
        };
        let mut peers: Vec<_> = now.peers.iter().map(of_peer).collect();
        // Those of whom that is the same stand in the order of their ids.
        match by {
            By::Rate => peers.sort_by(|one, other| other.rate().total_cmp(&one.rate())),
            By::Backlog => peers.sort_by_key(|peer| Reverse(peer.backlog)),
            By::Oldest => peers.sort_by(|one, other| {
                let age = |peer: &PeerRates| peer.oldest_age_seconds.unwrap_or(-1.0);
                age(other).total_cmp(&age(one))
            }),
        }
        Self {
            instance_id: now.status.instance_id.clone(),
            received_per_second: grown(before.status.received, now.status.received),
            delivered_per_second: grown(before.status.delivered, now.status.delivered),
            backlog: now.status.backlog,
            dead_letters: now.status.dead_letters,
            peers,
        }
    }
}

impl PeerRates {
    fn rate(&self) -> f64 {
        self.sends_per_second + self.gets_per_second
    }
}

fn shown(rates: &Rates) -> String {
    let dead = rates.dead_letters.map_or_else(|| "unknown".to_owned(), |dead| dead.to_string());
    let head = lines([format!(
        "relay {}: {:.1} received/s, {:.1} delivered/s, backlog {}, dead {dead}",
        rates.instance_id, rates.received_per_second, rates.delivered_per_second, rates.backlog
    )]);
    let rows = rates.peers.iter().take(SHOWN).map(|peer| {
        [
            peer.id.clone(),
            if peer.paused { format!("{}, paused", peer.link) } else { peer.link.clone() },
            format!("{:.1}", peer.sends_per_second),
            format!("{:.1}", peer.gets_per_second),
            peer.backlog.to_string(),
            format!("{:+.1}", peer.backlog_per_second),
            peer.in_flight.to_string(),
            peer.oldest_age_seconds.map_or_else(|| "-".to_owned(), passed),
        ]
    });
    let columns = ["peer", "link", "#sends/s", "#gets/s", "#backlog", "#change/s", "#in flight", "#oldest"];
    let mut shown = format!("{head}\n\n{}", table(columns, rows));
    if let Some(more) = rates.peers.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        shown += &format!("\nand {more} more");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(uptime: f64, received: u64, backlog: u64) -> Look {
        let status = serde_json::json!({
            "instanceId": "aws", "version": "1", "uptimeSeconds": uptime, "ready": true, "reasons": [], "degraded": [], "listen": null,
            "store": {"engine": "sqlite", "path": "", "durability": "full", "guarantee": "", "bytes": null, "freeBytes": null},
            "peers": {"up": 1, "down": 0, "paused": 0}, "backlog": backlog, "received": received, "delivered": 0,
            "deadLetters": null, "openCircuits": [],
        });
        let peer = |id: &str, received: u64, backlog: u64| {
            serde_json::json!({
                "id": id, "alias": null, "kind": "application", "tags": [], "clusterGroupId": "singleton", "link": "up",
                "address": null, "paused": false, "durable": true, "configured": false, "backlog": backlog,
                "inFlight": 0, "oldestAgeSeconds": null, "deadLetters": null, "republishes": 0, "received": received,
                "delivered": 0, "lastError": null, "lastSeenAt": "",
            })
        };
        let peers = serde_json::json!([peer("behind", 0, backlog), peer("shop", received, 0)]);
        Look { status: serde_json::from_value(status).unwrap(), peers: serde_json::from_value(peers).unwrap() }
    }

    #[test]
    fn rates_are_by_the_relays_own_clock() {
        let rates = Rates::between(&look(10.0, 100, 50), &look(14.0, 300, 30), By::Rate);
        assert_eq!((rates.received_per_second, rates.backlog), (50.0, 30));
        let peers: Vec<_> =
            rates.peers.iter().map(|peer| (&*peer.id, peer.sends_per_second, peer.backlog_per_second)).collect();
        assert_eq!(peers, [("shop", 50.0, 0.0), ("behind", 0.0, -5.0)]);
        let by_backlog = Rates::between(&look(10.0, 0, 0), &look(11.0, 0, 9), By::Backlog);
        assert_eq!(by_backlog.peers[0].id, "behind");
    }

    #[test]
    fn after_a_restart_of_the_relay_nothing_is_known() {
        let rates = Rates::between(&look(1_000.0, 9_000, 50), &look(1.0, 5, 30), By::Rate);
        assert_eq!((rates.received_per_second, rates.peers[0].sends_per_second), (0.0, 0.0));
        assert_eq!(rates.peers.iter().map(|peer| peer.backlog_per_second).sum::<f64>(), 0.0);
    }
}
