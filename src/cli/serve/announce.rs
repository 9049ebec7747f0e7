//! What a relay that has started says of itself: on stdout for whoever started it, and in one line of the log.

use std::net::SocketAddr;

use anyhow::anyhow;
use serde::Serialize;
use slipstream_store::{Guarantee, PeerId, Stats};
use tracing::info;

use super::next::to_try;
use crate::backend::{self, Opened};
use crate::cli::output;
use crate::config::{Config, LogFormat};
use crate::disk::Elsewhere;

/// A relay that has started.
pub(in crate::cli) struct Started<'a> {
    pub(in crate::cli) config: &'a Config,
    pub(in crate::cli) id: &'a PeerId,
    /// Where it takes links, if it does.
    pub(in crate::cli) links: Option<SocketAddr>,
    /// Where it answers HTTP.
    pub(in crate::cli) admin: SocketAddr,
    /// Where the store is, if not on a disk of this machine.
    pub(in crate::cli) place: Option<Elsewhere>,
    /// The store, and what was there.
    pub(in crate::cli) opened: Opened,
}

/// The same for a program, as one JSON object.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    version: &'a str,
    instance_id: &'a str,
    listen: Option<String>,
    dashboard: String,
    metrics: String,
    store: StoreRecord<'a>,
    peers: Vec<PeerRecord<'a>>,
    advice: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StoreRecord<'a> {
    engine: &'a str,
    path: &'a str,
    durability: String,
    guarantee: String,
    new: bool,
    peers: u64,
    owed: u64,
    opening_seconds: f64,
}

#[derive(Serialize)]
struct PeerRecord<'a> {
    id: &'a str,
    /// Host and port: the rest of a URL may be secret.
    address: String,
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where a relay takes links.
pub(super) fn links_url(config: &Config, address: SocketAddr) -> String {
    let scheme = if config.listener_tls().is_some() { "wss" } else { "ws" };
    format!("{scheme}://{address}/")
}

impl Started<'_> {
    /// Tells it, on stdout in the format that the log has.
    ///
    /// # Errors
    /// Where stdout cannot be written: nobody would know where the relay is.
    pub(super) fn announce(&self) -> anyhow::Result<()> {
        self.log();
        let said = match self.config.log_format {
            LogFormat::Human => output::line(&self.banner()),
            LogFormat::Json => output::record(&self.record()),
        };
        let expected = "a start is announced there; expected an output that takes it, such as /dev/null";
        said.map_err(|error| anyhow!("{error}: {expected}"))
    }

    fn log(&self) {
        let guarantee = self.guarantee();
        let Opened { is_new, stats: Stats { peers, pending, .. }, took, .. } = &self.opened;
        info!(
            version = VERSION,
            id = %self.id,
            links = self.links(),
            metrics = self.metrics(),
            dialled = self.config.peers.len(),
            engine = guarantee.engine,
            durability = %guarantee.durability,
            path = self.opened.place,
            store = if *is_new { "new" } else { "found" },
            peers,
            owed = pending,
            opening_seconds = took.as_secs_f64(),
            %guarantee,
            "started"
        );
    }

    fn guarantee(&self) -> Guarantee {
        self.opened.store.guarantee()
    }

    fn links(&self) -> String {
        self.link_url().unwrap_or_else(|| "off".to_owned())
    }

    fn link_url(&self) -> Option<String> {
        self.links.map(|address| links_url(self.config, address))
    }

    fn dashboard(&self) -> String {
        let scheme = if self.config.admin_tls().is_some() { "https" } else { "http" };
        format!("{scheme}://{}/", self.admin)
    }

    fn metrics(&self) -> String {
        format!("{}metrics", self.dashboard())
    }

    /// What runs now, for a person, and what to try next.
    fn banner(&self) -> String {
        let guarantee = self.guarantee();
        let mut lines =
            vec![format!("slipstream {VERSION}, relay {}", self.id), format!("  links      {}", self.links())];
        lines.extend(self.config.peers.iter().map(|peer| format!("  peer       {} at {}", peer.alias, peer.target)));
        lines.push(format!("  dashboard  {}", self.dashboard()));
        lines.push(format!("  metrics    {}", self.metrics()));
        let path = &self.opened.place;
        lines.push(format!("  store      {} at {path}, durability {}", guarantee.engine, guarantee.durability));
        lines.push(format!("             {}", self.opened));
        lines.push(format!("  guarantee  {guarantee}"));
        lines.extend(backend::advice(self.config.store).map(|advice| format!("  advice     {advice}")));
        lines.extend(self.links.into_iter().flat_map(|links| to_try(self.config, links)));
        lines.join("\n")
    }

    fn record(&self) -> Record<'_> {
        let peers = self.config.peers.iter();
        let guarantee = self.guarantee();
        let Opened { is_new, stats, took, .. } = &self.opened;
        Record {
            version: VERSION,
            instance_id: self.id.as_str(),
            listen: self.link_url(),
            dashboard: self.dashboard(),
            metrics: self.metrics(),
            store: StoreRecord {
                engine: guarantee.engine,
                path: &self.opened.place,
                durability: guarantee.durability.to_string(),
                guarantee: guarantee.to_string(),
                new: *is_new,
                peers: stats.peers,
                owed: stats.pending,
                opening_seconds: took.as_secs_f64(),
            },
            peers: peers.map(|it| PeerRecord { id: it.alias.as_str(), address: it.target.to_string() }).collect(),
            advice: backend::advice(self.config.store),
        }
    }
}
