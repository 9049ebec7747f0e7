//! The peers to dial, as `URL_CONFIG` and the `[[peer]]` tables give them.

use std::path::PathBuf;

use serde_json::Value;
use slipstream_store::PeerId;

use super::entry::{Entry, name, switch, tags};
use super::list::List;
use crate::config::fault::Faults;
use crate::config::value::{self, MAX_TOKEN};
use crate::dial::DialledPeer;
use crate::link::{Secret, Target};
use crate::tls::{self, ClientTls, ClientTlsOptions, OwnFiles, Pem, PemSource, Roots};

/// Most peers that a relay dials.
pub const MAX_PEERS: usize = 256;

pub(in crate::config) const PEERS: List<DialledPeer> = List {
    what: "peers",
    table: "peer",
    most: MAX_PEERS,
    fields: &["url", "id", "tags", "clusterGroupId", "coalesce", "token", "ca", "cert", "key", "rejectUnauthorized"],
    read: peer,
};

/// Makes `URL_CONFIG` of a JSON array of peers: its base64, without the white space between its tokens. `place` says
/// where the JSON comes from.
///
/// # Errors
/// All that is wrong with the peers.
pub fn encode_peers(json: &str, place: &str) -> Result<String, Faults> {
    PEERS.encode(json, place)
}

fn peer(entry: &mut Entry<'_>) -> Option<DialledPeer> {
    let target = entry.field("url", target);
    if target.is_none() && !entry.has("url") {
        entry.faults.push("url: it is missing; expected a URL like ws://host:7171/".to_owned());
    }
    entry.id = entry.shown("id", name);
    if !entry.has("id")
        && let Some(target) = &target
    {
        match PeerId::new(default_id(target)) {
            Ok(id) => entry.id = Some(id),
            Err(_) => entry.faults.push("id: the one that follows from the url is too long; give one".to_owned()),
        }
    }
    let tags = entry.shown("tags", tags);
    let group = entry.shown("clusterGroupId", name);
    let coalesce = entry.shown("coalesce", switch);
    let token = entry.field("token", token);
    let tls = certificates(entry);
    let speaks_tls = target.as_ref().is_none_or(|target| target.tls().is_some());
    if !speaks_tls && tls != ClientTlsOptions::default() {
        entry
            .faults
            .push("ca, cert, key and rejectUnauthorized are for TLS; expected a url like wss://host/".to_owned());
    }
    Some(DialledPeer {
        target: target?.secured_with(ClientTls::new(tls)),
        alias: entry.id.clone()?,
        tags: tags.filter(|tags| !tags.is_empty()),
        group,
        coalesce: coalesce.unwrap_or_default(),
        token,
    })
}

/// What `ca`, `cert`, `key` and `rejectUnauthorized` say, as they do to Node's `tls.connect`.
fn certificates(entry: &mut Entry<'_>) -> ClientTlsOptions {
    let verifies = entry.shown("rejectUnauthorized", switch).unwrap_or(true);
    let [ca, certificate, key] = ["ca", "cert", "key"].map(|field| entry.field(field, |value| pem(field, value)));
    let roots = match ca {
        _ if !verifies => Roots::Anybody,
        Some(ca) => Roots::Authorities(ca),
        None => Roots::System,
    };
    if entry.has("cert") != entry.has("key") {
        entry.faults.push("cert, key: one is given without the other; expected both or neither".to_owned());
    }
    let own = certificate.zip(key).map(|(certificate, key)| OwnFiles { certificate, key });
    ClientTlsOptions { roots, own }
}

/// PEM text, or a file's path. The message never has the value, which may be a key.
fn pem(field: &str, value: &Value) -> Result<PemSource, String> {
    let expected = || "expected PEM text (-----BEGIN …), or the path of a file".to_owned();
    let text = value.as_str().filter(|text| !text.trim().is_empty() && !text.contains('\0')).ok_or_else(expected)?;
    if text.contains("-----BEGIN") {
        return Ok(PemSource::Text(Pem::new(field, text)));
    }
    if tls::is_contents(text) {
        return Err(expected());
    }
    Ok(PemSource::File(PathBuf::from(text)))
}

/// The id of a peer that was given none: host and port, and the path where there is one.
fn default_id(target: &Target) -> String {
    let path = target.path.split('?').next().filter(|path| *path != "/").unwrap_or_default();
    let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | ':' | '-');
    let place = target.to_string().to_ascii_lowercase() + path;
    place.chars().map(|each| if allowed(each) { each } else { '_' }).collect()
}

fn target(value: &Value) -> Result<Target, String> {
    let url = value.as_str().ok_or("expected a text")?;
    if url.contains('#') {
        return Err("expected a URL without #".to_owned());
    }
    match Target::parse(url)? {
        Target { port: 0, .. } => Err("expected a port from 1 to 65535".to_owned()),
        target => Ok(target),
    }
}

/// The message never has the value.
fn token(value: &Value) -> Result<Secret, String> {
    let token = value.as_str().and_then(value::token);
    token.ok_or_else(|| format!("expected 1 to {MAX_TOKEN} of the ASCII characters ! to ~"))
}
