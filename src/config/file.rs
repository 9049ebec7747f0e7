//! The settings file: reads it, and turns its keys into what the other sources give too.

use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

use super::names::{TABLES, strange_key};
use super::sources::{Gathered, Given};
use super::{Fault, Origin, Setting};

/// Largest settings file that is read.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The key of the setting that names the file.
pub(super) const FILE_KEY: &str = "config";

/// Reads a file of at most [`MAX_FILE_BYTES`].
///
/// # Errors
/// In words, where it cannot be opened or read, is larger, or is not UTF-8.
pub fn read_file(path: &Path) -> io::Result<String> {
    let file = std::fs::File::open(path).and_then(|file| match file.metadata()?.is_dir() {
        true => Err(ErrorKind::IsADirectory.into()),
        false => Ok(file),
    });
    read_text(file.map_err(|error| {
        let cause = match error.kind() {
            ErrorKind::NotFound => "there is no such file".to_owned(),
            ErrorKind::IsADirectory => "it is a folder".to_owned(),
            ErrorKind::NotADirectory => "a part of its path is no folder".to_owned(),
            ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
            _ => return error,
        };
        io::Error::new(error.kind(), format!("{cause} ({error})"))
    })?)
}

/// Reads a text of at most [`MAX_FILE_BYTES`], without the byte order mark that some editors put before it.
///
/// # Errors
/// In words, where it cannot be read, is larger, or is not UTF-8.
pub fn read_text(source: impl io::Read) -> io::Result<String> {
    let invalid = |kind, problem: String| Err(io::Error::new(kind, problem));
    let mut bytes = Vec::new();
    if source.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)? as u64 > MAX_FILE_BYTES {
        return invalid(ErrorKind::FileTooLarge, format!("it is larger than {MAX_FILE_BYTES} bytes"));
    }
    if let [0xff, 0xfe, ..] | [0xfe, 0xff, ..] = bytes.as_slice() {
        return invalid(ErrorKind::InvalidData, "it is UTF-16; save it as UTF-8".to_owned());
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(without_mark(&text).to_owned()),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let line = 1 + error.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count();
            invalid(ErrorKind::InvalidData, format!("it is not UTF-8 from line {line} on"))
        }
    }
}

/// A text without the byte order mark before it.
pub(super) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
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
    for (name, setting) in TABLES {
        let Some(tables) = table.remove(name) else { continue };
        let place = format!("[[{name}]] in {path}");
        if table.contains_key(setting.key) {
            let problem = format!("expected only one of the two: the file has {} too", setting.key);
            gathered.contradict(setting, Fault::new(place, problem));
        } else {
            gathered.offer(setting, Origin::File, &place, Given::Tables(tables));
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
        None => return gathered.fault(strange_key(place, key)),
    };
    match text_of(setting, value) {
        Ok(text) => gathered.offer(setting, Origin::File, &place, Given::Text(text)),
        Err(expected) => {
            let place = format!("{} ({place})", setting.variable);
            gathered.refuse(setting, place, &value.to_string(), &expected);
        }
    }
}

/// What stands in the file, as it would be written in a variable.
fn text_of(setting: &Setting, value: &toml::Value) -> Result<String, String> {
    let table = TABLES.iter().find(|(_, of)| *of == setting).map(|(table, _)| table);
    match (value, table) {
        (toml::Value::String(text), _) => Ok(text.clone()),
        (_, Some(table)) => Err(format!("a text; {table}s as tables stand under [[{table}]]")),
        (toml::Value::Integer(number), None) => Ok(number.to_string()),
        (toml::Value::Boolean(switch), None) => Ok(switch.to_string()),
        (toml::Value::Array(items), None) if setting.kind == "TAGS" => {
            let tags: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            tags.map(|tags| tags.join(",")).ok_or_else(|| "an array of texts".to_owned())
        }
        _ => Err("a text, a whole number, or true or false".to_owned()),
    }
}
