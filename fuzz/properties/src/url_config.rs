//! The peers to dial and the settings file.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use serde_json::value::RawValue;
use slipstream::config::{Config, EmbeddedEngine, Faults, Inspection, MAX_PEERS, Sources, encode_peers};
use slipstream::dial::DialledPeer;
use slipstream::link::Target;

use crate::told::{assert_no_secret, assert_short};

/// Longest text of one fault.
const MOST_TOLD: usize = 1_024;

/// The fields of a peer whose values are never told.
const SECRET: [&str; 4] = ["token", "key", "ca", "cert"];

/// Reads `URL_CONFIG`, or if the first byte is odd a settings file.
///
/// - Peers that are taken have ids of their own, are the same once they were encoded, and the same as tables of a file.
/// - A fault is one short line, and repeats no token, key or certificate and nothing of a URL behind its host.
pub fn url_config(input: &[u8]) {
    let Some((&how, text)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    if how & 1 == 1 {
        let document: Option<toml::Table> = text.parse().ok();
        let document = document.and_then(|document| serde_json::to_value(document).ok());
        let Inspection { peers, outcome, .. } = in_file(text);
        return told(&peers, outcome.err().as_ref(), document.as_ref(), text);
    }
    let document = serde_json::from_str(text.trim()).ok();
    let Inspection { peers, outcome, .. } = in_variable(text);
    told(&peers, outcome.as_ref().err(), document.as_ref(), text);
    if outcome.is_err() {
        return;
    }
    assert!(peers.len() <= MAX_PEERS);
    for (at, peer) in peers.iter().enumerate() {
        assert!(!peers[..at].iter().any(|earlier| earlier.alias == peer.alias), "two peers are {}", peer.alias);
        leads_to_the_same(&peer.target);
    }
    let Some(document) = document else { return };
    let encoded = encode_peers(text, "here");
    assert!(encoded.is_ok(), "what was taken is not encoded: {encoded:?}");
    let encoded = encoded.unwrap_or_default();
    assert_eq!(in_variable(&encoded).peers, peers, "encoded");
    assert_eq!(in_variable(&STANDARD.encode(text)).peers, peers, "in base64");
    if let Some(tables) = tables(&document) {
        let inspection = in_file(&tables);
        assert_eq!(inspection.peers, peers, "as tables: {tables} {:?}", inspection.outcome.err());
    }
}

fn in_variable(text: &str) -> Inspection {
    inspect("URL_CONFIG", text, &|_| Err(io::ErrorKind::NotFound.into()))
}

fn in_file(text: &str) -> Inspection {
    inspect("SLIPSTREAM_CONFIG", "slipstream.toml", &|_| Ok(text.to_owned()))
}

fn inspect(variable: &str, text: &str, read_file: &dyn Fn(&Path) -> io::Result<String>) -> Inspection {
    let environment = [(OsString::from(variable), OsString::from(text))];
    Config::inspect(&Sources {
        flags: &[],
        environment: &environment,
        read_file,
        engines: &[EmbeddedEngine::Sqlite.into()],
    })
}

/// Asserts that nothing that is told of the peers or their faults is a secret.
fn told(peers: &[DialledPeer], faults: Option<&Faults>, document: Option<&Value>, text: &str) {
    let mut told = format!("{peers:?}");
    for fault in faults.into_iter().flat_map(Faults::iter) {
        let fault = fault.to_string();
        assert_short(&fault, MOST_TOLD);
        told += &fault;
    }
    match document {
        Some(document) => {
            let (mut secrets, mut elsewhere) = (Vec::new(), String::new());
            gather(document, false, &mut secrets, &mut elsewhere);
            // A field that stands twice is gathered once.
            elsewhere += &secrets.iter().fold(text.to_owned(), |rest, secret| rest.replace(secret.as_str(), ""));
            assert_no_secret(&told, secrets.iter().map(String::as_str), &elsewhere);
        }
        // Its entries may be read one by one, though another parser refuses a number in one of them.
        None if serde_json::from_str::<Vec<&RawValue>>(text.trim()).is_ok() => {}
        // What cannot be parsed may be a secret as a whole.
        None => {
            let words = text.split(|character: char| !character.is_ascii_alphanumeric());
            assert_no_secret(&told, words, "");
        }
    }
}

/// Finds the texts of a document that are secret, and all others.
fn gather(value: &Value, is_secret: bool, secrets: &mut Vec<String>, elsewhere: &mut String) {
    match value {
        Value::String(text) if is_secret => secrets.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| gather(item, is_secret, secrets, elsewhere)),
        Value::Object(fields) => {
            for (name, value) in fields {
                elsewhere.push_str(&format!("{name} "));
                match value.as_str().filter(|_| name == "url") {
                    Some(url) => {
                        let (place, query) = url.split_once('?').unwrap_or((url, ""));
                        secrets.push(query.to_owned());
                        elsewhere.push_str(&format!("{place} {} ", place.to_ascii_lowercase()));
                    }
                    None => gather(value, is_secret || SECRET.contains(&name.as_str()), secrets, elsewhere),
                }
            }
        }
        other => elsewhere.push_str(&format!("{other} ")),
    }
}

/// A target is read as the same from what it says of itself.
fn leads_to_the_same(target: &Target) {
    let scheme = if target.tls().is_some() { "wss" } else { "ws" };
    let again = Target::parse(&format!("{scheme}://{}{}", target.authority, target.path));
    let parts = |target: &Target| (target.host.clone(), target.port, target.authority.clone(), target.path.clone());
    assert_eq!(again.as_ref().map(parts), Ok(parts(target)));
    assert!(target.port > 0 && !target.host.is_empty(), "{target}");
}

/// The peers as tables of a settings file; `None` if a value has no like there.
fn tables(document: &Value) -> Option<String> {
    let mut text = String::new();
    for peer in document.as_array()? {
        text.push_str("[[peer]]\n");
        for (name, value) in peer.as_object()? {
            let name = match name.as_str() {
                "clusterGroupId" => "cluster_group_id",
                "rejectUnauthorized" => "reject_unauthorized",
                other => other,
            };
            let value = match value {
                Value::Null => continue,
                Value::Bool(switch) => toml::Value::from(*switch),
                Value::String(text) => toml::Value::from(text.as_str()),
                Value::Array(items) => items.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?.into(),
                _ => return None,
            };
            text.push_str(&format!("{name} = {value}\n"));
        }
    }
    Some(text)
}
