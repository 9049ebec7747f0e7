//! The settings file: turns its keys into what the other sources give too.

use super::fault::Fault;
use super::gathered::{Gathered, Given};
use super::names::{TABLES, strange_key};
use super::setting::{Origin, Setting};

/// The key of the setting that names the file.
pub(super) const FILE_KEY: &str = "config";

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
    let place = format!("{} in {path}", Fault::shortened(key));
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
            gathered.refuse(setting, place, &shown(value), &expected);
        }
    }
}

/// A value that is no setting's, as a fault repeats it. What is in a table may be a secret.
fn shown(value: &toml::Value) -> String {
    match value {
        toml::Value::Table(_) => "{…}".to_owned(),
        toml::Value::Array(_) => "[…]".to_owned(),
        other => other.to_string(),
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
        (toml::Value::Array(items), None) if matches!(setting.kind, "TAGS" | "NETWORKS") => {
            let items: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            items.map(|items| items.join(",")).ok_or_else(|| "an array of texts".to_owned())
        }
        _ => Err("a text, a whole number, or true or false".to_owned()),
    }
}
