//! The peers to dial, as `URL_CONFIG` and the `[[peer]]` tables give them. Every fault of every entry is found. None
//! repeats a URL, which may carry a secret in its query, or a token.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose};
use serde_json::Value;
use serde_json::value::RawValue;
use slipstream_store::PeerId;

use super::file::without_mark;
use super::peer_entry::{Entry, Fields, Notation};
use super::{Fault, Faults};
use crate::dial::DialledPeer;

/// Most peers that a relay dials.
pub const MAX_PEERS: usize = 256;

/// Standard base64, with or without its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One thing that is wrong with the peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PeerFault {
    /// The entry, where it is about one.
    pub(super) entry: Option<String>,
    /// What is wrong, in words.
    pub(super) problem: String,
}

impl PeerFault {
    fn all(problem: impl Into<String>) -> Vec<Self> {
        vec![Self { entry: None, problem: problem.into() }]
    }
}

/// Reads `URL_CONFIG`: a JSON array, or its base64 in either alphabet. An empty text is no peers.
pub(super) fn from_text(text: &str) -> Result<Vec<DialledPeer>, Vec<PeerFault>> {
    let text = without_mark(text).trim();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    // No alphabet of base64 has a bracket.
    if text.starts_with(['[', '{']) {
        return read_all(&json_entries(text)?, Notation::Json);
    }
    let json = decode(text).ok_or_else(|| PeerFault::all("expected a JSON array of peers, or its base64"))?;
    read_all(&json_entries(without_mark(&json).trim())?, Notation::Json)
}

/// Reads what stands under `[[peer]]` in the settings file.
pub(super) fn from_tables(tables: &toml::Value) -> Result<Vec<DialledPeer>, Vec<PeerFault>> {
    let tables = tables.as_array().ok_or_else(|| PeerFault::all("expected tables, each under [[peer]]"))?;
    let entries: Vec<Option<Fields>> = tables.iter().map(|table| Fields::from_table(table.as_table()?)).collect();
    read_all(&entries, Notation::Toml)
}

/// Makes `URL_CONFIG` of a JSON array of peers: its base64, without the white space between its tokens. `place` says
/// where the JSON comes from.
///
/// # Errors
/// All that is wrong with the peers.
pub fn encode_peers(json: &str, place: &str) -> Result<String, Faults> {
    let checked = json_entries(without_mark(json).trim()).and_then(|entries| {
        read_all(&entries, Notation::Json)?;
        serde_json::to_vec(&entries).map_err(|error| PeerFault::all(error.to_string()))
    });
    let fault = |PeerFault { entry, problem }| match entry {
        Some(entry) => Fault::new(format!("{place} {entry}"), problem),
        None => Fault::new(place, problem),
    };
    match checked {
        Ok(compact) => Ok(general_purpose::STANDARD.encode(compact)),
        Err(faults) => Err(Faults::new(faults.into_iter().map(fault).collect())),
    }
}

fn decode(text: &str) -> Option<String> {
    let standard = |byte| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    };
    let text: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).map(standard).collect();
    String::from_utf8(BASE64.decode(text).ok()?).ok()
}

/// The entries of a JSON array, `None` for one that is not an object. The message has the line and the column and never
/// the text.
fn json_entries(json: &str) -> Result<Vec<Option<Fields>>, Vec<PeerFault>> {
    if !json.starts_with('[') {
        return Err(PeerFault::all("expected a JSON array of peers"));
    }
    let entries: Vec<&RawValue> = serde_json::from_str(json)
        .map_err(|error| PeerFault::all(format!("expected a JSON array of peers: {error}")))?;
    Ok(entries.iter().map(|entry| serde_json::from_str(entry.get()).ok()).collect())
}

fn read_all(entries: &[Option<Fields>], notation: Notation) -> Result<Vec<DialledPeer>, Vec<PeerFault>> {
    let count = entries.len();
    if count > MAX_PEERS {
        return Err(PeerFault::all(format!("got {count} peers, expected at most {MAX_PEERS}")));
    }
    let mut peers = Vec::with_capacity(count);
    let mut faults = Vec::new();
    let mut numbers: BTreeMap<PeerId, usize> = BTreeMap::new();
    for (number, fields) in (1..).zip(entries) {
        let mut place = format!("entry {number} of {count}");
        let Some(fields) = fields else {
            faults.push(PeerFault { entry: Some(place), problem: "expected an object".to_owned() });
            continue;
        };
        if let Some(host) = fields.0.iter().find(|(name, _)| name == "url").and_then(|(_, url)| host(url)) {
            place = format!("{place} ({host})");
        }
        let mut entry = Entry::new(fields, notation);
        let peer = entry.read();
        if let Some(alias) = entry.alias.take() {
            match numbers.get(&alias) {
                Some(first) => entry
                    .faults
                    .push(format!("its id {alias} is that of entry {first} too; give one of them another id")),
                None => drop(numbers.insert(alias, number)),
            }
        }
        faults.extend(entry.faults.into_iter().map(|problem| PeerFault { entry: Some(place.clone()), problem }));
        peers.extend(peer);
    }
    if faults.is_empty() { Ok(peers) } else { Err(faults) }
}

/// The host of a URL, if it has one: the part that is never a secret.
fn host(url: &Value) -> Option<String> {
    let uri: hyper::Uri = url.as_str()?.parse().ok()?;
    uri.scheme()?;
    Some(uri.host()?.to_owned())
}
