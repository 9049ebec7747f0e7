//! The settings file: reads it, and turns its keys into what the other sources give too.

use std::io::{self, Read as _};
use std::path::Path;

use super::sources::{Gathered, Given, LATER, not_yet, unknown};
use super::table::URL_CONFIG;
use super::{Fault, Origin, Setting};

/// Largest settings file that is read.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The key of the setting that names the file.
pub(super) const FILE_KEY: &str = "config";

/// The key of the tables that describe the peers to dial, in place of the setting for the same.
const PEER_KEY: &str = "peer";

/// Reads a file of at most [`MAX_FILE_BYTES`].
///
/// # Errors
/// Where it cannot be opened or read, is larger, or is not UTF-8.
pub fn read_file(path: &Path) -> io::Result<String> {
    read_text(std::fs::File::open(path)?)
}

/// Reads a text of at most [`MAX_FILE_BYTES`].
///
/// # Errors
/// Where it cannot be read, is larger, or is not UTF-8.
pub fn read_text(source: impl io::Read) -> io::Result<String> {
    let mut text = String::new();
    if source.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)? as u64 > MAX_FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {MAX_FILE_BYTES} bytes")));
    }
    Ok(text)
}

/// Parses a settings file. The message has the line and never the text of the file, which may hold a secret.
pub(super) fn parse(text: &str) -> Result<toml::Table, String> {
    text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        format!("line {}: {}", before.matches('\n').count() + 1, error.message())
    })
}

/// Offers what the file at `path` gives.
pub(super) fn offer(gathered: &mut Gathered, path: &str, mut table: toml::Table) {
    if let Some(tables) = table.remove(PEER_KEY) {
        let place = format!("[[{PEER_KEY}]] in {path}");
        if table.contains_key(URL_CONFIG.key) {
            let expected = format!("only one of the two: the file has {} too", URL_CONFIG.key);
            gathered.refuse(&URL_CONFIG, place, "", &expected);
        } else {
            gathered.offer(&URL_CONFIG, Origin::File, &place, Given::Tables(tables));
        }
    }
    for (key, value) in &table {
        offer_entry(gathered, path, key, value);
    }
}

fn offer_entry(gathered: &mut Gathered, path: &str, key: &str, value: &toml::Value) {
    let place = format!("{key} in {path}");
    let setting = match Setting::by_key(key) {
        Some(setting) if key != FILE_KEY => setting,
        Some(_) => {
            return gathered.fault(Fault::new(place, "a file cannot name another; use the flag or the environment"));
        }
        None if LATER.iter().any(|later| key_of(later) == key) => return gathered.fault(not_yet(place)),
        None => return gathered.fault(unknown(place, key, |setting| setting.key)),
    };
    match text_of(setting, value) {
        Ok(text) => gathered.offer(setting, Origin::File, &place, Given::Text(text)),
        Err(expected) => {
            let place = format!("{} ({place})", setting.variable);
            gathered.refuse(setting, place, &value.to_string(), expected);
        }
    }
}

/// The file key of a variable.
fn key_of(variable: &str) -> String {
    variable.strip_prefix("SLIPSTREAM_").unwrap_or(variable).to_ascii_lowercase()
}

/// What stands in the file, as it would be written in a variable.
fn text_of(setting: &Setting, value: &toml::Value) -> Result<String, &'static str> {
    match value {
        toml::Value::String(text) => Ok(text.clone()),
        _ if *setting == URL_CONFIG => Err("a text; peers as tables stand under [[peer]]"),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Boolean(switch) => Ok(switch.to_string()),
        toml::Value::Array(items) if setting.kind == "TAGS" => {
            let tags: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            tags.map(|tags| tags.join(",")).ok_or("an array of texts")
        }
        _ => Err("a text, a whole number, or true or false"),
    }
}
