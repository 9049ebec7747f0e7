//! `slipstream config show`: the settings in force, as a table or as JSON. No secret is shown.

use std::process::ExitCode;

use serde::Serialize;
use slipstream_store::{ClusterGroup, Tag};

use crate::backend;
use crate::cli::{SettingFlags, output};
use crate::config::{Effective, Inspection, Origin};
use crate::dial::DialledPeer;
use crate::relay::Subscriber;
use crate::tls::{ClientTls, ClientTlsOptions, OwnFiles, PemSource, Roots};

pub(super) fn run(settings: &SettingFlags, json: bool) -> anyhow::Result<ExitCode> {
    let inspection = settings.inspect(backend::COMPILED);
    if json {
        output::record(&Record::of(&inspection))?;
    } else {
        output::line(&table(&inspection))?;
    }
    Ok(match &inspection.outcome {
        Ok(_) => ExitCode::SUCCESS,
        Err(faults) => output::fail(output::MISUSED, faults),
    })
}

/// The path of the settings file, as it was given.
fn file(inspection: &Inspection) -> Option<&str> {
    let setting = inspection.settings.iter().find(|each| each.setting.key == "config")?;
    setting.value.as_deref()
}

fn table(inspection: &Inspection) -> String {
    const WIDEST: usize = 40;
    let file = file(inspection).unwrap_or_default();
    let rows: Vec<[String; 3]> = inspection
        .settings
        .iter()
        .map(|Effective { setting, value, origin }| {
            let value = match value.as_deref() {
                None => "(fault)".to_owned(),
                Some("") => "none".to_owned(),
                Some(value) => output::printable(value),
            };
            let origin = match origin {
                Origin::File => format!("{origin} {}", output::printable(file)),
                _ => origin.to_string(),
            };
            [setting.variable.to_owned(), value, origin]
        })
        .collect();
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count().min(WIDEST)).max().unwrap_or_default();
    let (first, second) = (width(0), width(1));
    let mut lines: Vec<_> =
        rows.iter().map(|[variable, value, origin]| format!("{variable:first$}  {value:second$}  {origin}")).collect();
    lines.extend(inspection.peers.iter().map(peer_line));
    lines.extend(inspection.subscribers.iter().map(subscriber_line));
    lines.join("\n")
}

fn peer_line(peer: &DialledPeer) -> String {
    let DialledPeer { alias, tags, group, coalesce, .. } = peer;
    let mut line = format!("peer {alias} at {}", shown_url(peer));
    line += &shown_terms(tags.as_deref(), group.as_ref(), *coalesce);
    if peer.token.is_some() {
        line += ", token hidden";
    }
    if let Some(tls) = peer.target.tls() {
        line += &shown_tls(tls);
    }
    line
}

fn subscriber_line(subscriber: &Subscriber) -> String {
    let Subscriber { id, tags, group, coalesce } = subscriber;
    format!("subscriber {id}{}", shown_terms(tags.as_deref(), group.as_ref(), *coalesce))
}

/// What peers to dial and subscribers have in common.
fn shown_terms(tags: Option<&[Tag]>, group: Option<&ClusterGroup>, coalesce: bool) -> String {
    let tags = tags.map(|tags| format!(", tags {}", tags.iter().map(Tag::as_str).collect::<Vec<_>>().join(" ")));
    let group = group.map(|group| format!(", cluster group {group}"));
    let coalesce = if coalesce { ", coalesce" } else { "" };
    tags.unwrap_or_default() + &group.unwrap_or_default() + coalesce
}

/// Whose servers are taken, and what they are shown; of text its name alone.
fn shown_tls(tls: &ClientTls) -> String {
    let ClientTlsOptions { roots, own } = tls.options();
    let roots = match roots {
        Roots::System => String::new(),
        Roots::Authorities(authorities) => format!(", ca {}", shown_pem(authorities)),
        Roots::Anybody => ", not verified".to_owned(),
    };
    let own = own
        .as_ref()
        .map(|OwnFiles { certificate, key }| format!(", cert {}, key {}", shown_pem(certificate), shown_pem(key)));
    roots + &own.unwrap_or_default()
}

fn shown_pem(source: &PemSource) -> String {
    source.path().map_or_else(|| "hidden".to_owned(), |path| path.display().to_string())
}

/// The URL without what may be secret.
fn shown_url(peer: &DialledPeer) -> String {
    let path = match peer.target.path.split_once('?') {
        Some((path, _)) => format!("{path}?…"),
        None => peer.target.path.clone(),
    };
    let scheme = if peer.target.tls().is_some() { "wss" } else { "ws" };
    format!("{scheme}://{}{path}", peer.target)
}

/// What `config show --json` prints.
#[derive(Serialize)]
struct Record<'a> {
    settings: Vec<SettingRecord<'a>>,
    peers: Vec<PeerRecord<'a>>,
    subscribers: Vec<SubscriberRecord<'a>>,
    faults: Vec<String>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct SettingRecord<'a> {
    variable: &'a str,
    /// As its source writes it; null where there is none, or where it has a fault.
    value: Option<&'a str>,
    origin: String,
    /// The settings file, where the value came from it.
    file: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PeerRecord<'a> {
    id: &'a str,
    url: String,
    tags: Option<Vec<&'a str>>,
    cluster_group_id: Option<&'a str>,
    coalesce: bool,
    token: Option<&'static str>,
    ca: Option<String>,
    cert: Option<String>,
    key: Option<String>,
    reject_unauthorized: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SubscriberRecord<'a> {
    id: &'a str,
    tags: Option<Vec<&'a str>>,
    cluster_group_id: Option<&'a str>,
    coalesce: bool,
}

impl<'a> Record<'a> {
    fn of(inspection: &'a Inspection) -> Self {
        let file = file(inspection);
        let setting = |each: &'a Effective| SettingRecord {
            variable: each.setting.variable,
            value: each.value.as_deref().filter(|value| !value.is_empty()),
            origin: each.origin.to_string(),
            file: file.filter(|_| each.origin == Origin::File),
        };
        let own = |peer: &'a DialledPeer| peer.target.tls().and_then(|tls| tls.options().own.as_ref());
        let roots = |peer: &'a DialledPeer| peer.target.tls().map(|tls| &tls.options().roots);
        let peer = |peer: &'a DialledPeer| PeerRecord {
            id: peer.alias.as_str(),
            url: shown_url(peer),
            tags: names(peer.tags.as_deref()),
            cluster_group_id: peer.group.as_ref().map(AsRef::as_ref),
            coalesce: peer.coalesce,
            token: peer.token.as_ref().map(|_| "hidden"),
            ca: match roots(peer) {
                Some(Roots::Authorities(authorities)) => Some(shown_pem(authorities)),
                _ => None,
            },
            cert: own(peer).map(|own| shown_pem(&own.certificate)),
            key: own(peer).map(|own| shown_pem(&own.key)),
            reject_unauthorized: roots(peer) != Some(&Roots::Anybody),
        };
        let subscriber = |subscriber: &'a Subscriber| SubscriberRecord {
            id: subscriber.id.as_str(),
            tags: names(subscriber.tags.as_deref()),
            cluster_group_id: subscriber.group.as_ref().map(AsRef::as_ref),
            coalesce: subscriber.coalesce,
        };
        let (faults, warnings) = match &inspection.outcome {
            Ok(config) => (Vec::new(), config.warnings()),
            Err(faults) => (faults.iter().map(ToString::to_string).collect(), Vec::new()),
        };
        Self {
            settings: inspection.settings.iter().map(setting).collect(),
            peers: inspection.peers.iter().map(peer).collect(),
            subscribers: inspection.subscribers.iter().map(subscriber).collect(),
            faults,
            warnings,
        }
    }
}

fn names(tags: Option<&[Tag]>) -> Option<Vec<&str>> {
    tags.map(|tags| tags.iter().map(Tag::as_str).collect())
}
