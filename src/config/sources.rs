//! Where settings come from: gathers what each source gives, by setting, and refuses names that mean nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{self, Read as _};
use std::path::Path;

use super::value::nearest;
use super::{Engine, Fault, Origin, SETTINGS, Setting};

/// Largest settings file that is read.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The key of the setting that names the file.
const FILE_KEY: &str = "config";

/// Settings that Slipstream documents and that this version does not have yet.
const LATER: &[&str] = &[
    "URL_CONFIG",
    "SLIPSTREAM_RETRY_IN_N_SECONDS",
    "SLIPSTREAM_CONNECTION_RETRY_ATTEMPTS",
    "MAX_MESSAGE_REPUBLISH_ATTEMPTS",
    "SLIPSTREAM_ACK_TIMEOUT",
    "SLIPSTREAM_MAX_BACKLOG",
    "SLIPSTREAM_BACKLOG_POLICY",
    "SLIPSTREAM_MIN_FREE_DISK",
    "SLIPSTREAM_RATE_LIMIT",
    "SLIPSTREAM_TLS_CERT",
    "SLIPSTREAM_TLS_KEY",
    "SLIPSTREAM_TLS_CLIENT_CA",
    "SLIPSTREAM_AUTH_FILE",
    "SLIPSTREAM_ADMIN_TOKEN",
];

/// The tables of the file that describe peers to dial; they come with `URL_CONFIG`.
const LATER_TABLE: &str = "peer";

/// What settings are read from. All of it is passed in, so that a test owns it.
pub struct Sources<'a> {
    /// The flags that were given, each with its setting.
    pub flags: &'a [(&'static Setting, String)],
    /// The environment. An empty variable counts as not set.
    pub environment: &'a [(OsString, OsString)],
    /// Reads the settings file; [`read_file`] outside tests.
    pub read_file: &'a dyn Fn(&Path) -> io::Result<String>,
    /// The engines that are compiled in, the preferred one first.
    pub engines: &'a [Engine],
}

/// Reads a settings file of at most [`MAX_FILE_BYTES`].
///
/// # Errors
/// Where it cannot be opened or read, is larger, or is not UTF-8.
pub fn read_file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    if file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)? as u64 > MAX_FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {MAX_FILE_BYTES} bytes")));
    }
    Ok(text)
}

/// A value that a source gives for a setting.
struct Candidate {
    origin: Origin,
    /// The setting and the source, in words.
    place: String,
    text: String,
}

/// What the sources give, by the key of the setting, the strongest first, and what is wrong so far.
pub(super) struct Gathered {
    candidates: BTreeMap<&'static str, Vec<Candidate>>,
    origins: BTreeMap<&'static str, Origin>,
    unreadable: BTreeSet<&'static str>,
    faults: Vec<Fault>,
}

impl Gathered {
    fn offer(&mut self, setting: &'static Setting, origin: Origin, place: &str, text: String) {
        let place = match origin {
            Origin::Default => format!("{} (default)", setting.variable),
            _ => format!("{} ({place})", setting.variable),
        };
        self.candidates.entry(setting.key).or_default().push(Candidate { origin, place, text });
    }

    /// Reads every candidate of a setting, notes those that are faults, and answers the strongest that could be read.
    pub(super) fn take<T>(&mut self, key: &'static str, read: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let candidates = self.candidates.remove(key)?;
        self.origins.insert(key, candidates.first()?.origin);
        let mut value = None;
        for candidate in candidates {
            match read(&candidate.text) {
                Ok(read) => value = value.or(Some(read)),
                Err(expected) => {
                    self.unreadable.insert(key);
                    self.faults.push(Fault::unreadable(candidate.place, &candidate.text, &expected));
                }
            }
        }
        value
    }

    /// Where each setting that was taken came from.
    pub(super) fn origins(&mut self) -> BTreeMap<&'static str, Origin> {
        std::mem::take(&mut self.origins)
    }

    /// The keys of the settings that have a fault, and all faults.
    pub(super) fn into_faults(self) -> (BTreeSet<&'static str>, Vec<Fault>) {
        (self.unreadable, self.faults)
    }
}

impl Sources<'_> {
    /// Gathers what the sources give, strongest first.
    pub(super) fn gather(&self) -> Gathered {
        let mut gathered = Gathered {
            candidates: BTreeMap::new(),
            origins: BTreeMap::new(),
            unreadable: BTreeSet::new(),
            faults: Vec::new(),
        };
        for (setting, text) in self.flags {
            gathered.offer(setting, Origin::Flag, &format!("--{}", setting.flag()), text.clone());
        }
        self.gather_environment(&mut gathered);
        self.gather_file(&mut gathered);
        for setting in SETTINGS {
            let text = match (setting.key, self.engines.first()) {
                ("store", Some(engine)) => engine.name(),
                _ => setting.default,
            };
            gathered.offer(setting, Origin::Default, "", text.to_owned());
        }
        gathered
    }

    fn gather_environment(&self, gathered: &mut Gathered) {
        for (name, value) in self.environment.iter().filter(|(_, value)| !value.is_empty()) {
            let Some(name) = name.to_str() else { continue };
            match (SETTINGS.iter().find(|setting| setting.variable == name), value.to_str()) {
                (Some(setting), Some(text)) => {
                    gathered.offer(setting, Origin::Environment, "environment", text.to_owned());
                }
                (Some(setting), None) => {
                    gathered.unreadable.insert(setting.key);
                    gathered.faults.push(Fault::unreadable(
                        format!("{name} (environment)"),
                        &value.to_string_lossy(),
                        "UTF-8 text",
                    ));
                }
                (None, _) if name.starts_with("SLIPSTREAM_") || LATER.contains(&name) => {
                    let place = format!("{name} (environment)");
                    gathered.faults.push(if LATER.contains(&name) {
                        not_yet(place)
                    } else {
                        unknown(place, name, |setting| setting.variable)
                    });
                }
                (None, _) => {}
            }
        }
    }

    fn gather_file(&self, gathered: &mut Gathered) {
        let Some((place, path)) = gathered
            .candidates
            .get(FILE_KEY)
            .and_then(|given| given.first())
            .map(|strongest| (strongest.place.clone(), strongest.text.clone()))
            .filter(|(_, path)| !path.is_empty())
        else {
            return;
        };
        let table = (self.read_file)(Path::new(&path)).map_err(|error| error.to_string()).and_then(|text| parse(&text));
        match table {
            Ok(table) => table.iter().for_each(|(key, value)| offer_entry(gathered, &path, key, value)),
            Err(problem) => {
                gathered.faults.push(Fault::unreadable(
                    place,
                    &path,
                    &format!("a TOML file that can be read: {problem}"),
                ));
            }
        }
    }
}

/// Parses a settings file. The message has the line and never the text of the file, which may hold a secret.
fn parse(text: &str) -> Result<toml::Table, String> {
    text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        format!("line {}: {}", before.matches('\n').count() + 1, error.message())
    })
}

fn offer_entry(gathered: &mut Gathered, path: &str, key: &str, value: &toml::Value) {
    let place = format!("{key} in {path}");
    let setting = match Setting::by_key(key) {
        Some(setting) if key != FILE_KEY => setting,
        Some(_) => {
            return gathered
                .faults
                .push(Fault::new(place, "a file cannot name another; use the flag or the environment"));
        }
        None if key == LATER_TABLE || LATER.iter().any(|later| key_of(later) == key) => {
            return gathered.faults.push(not_yet(place));
        }
        None => return gathered.faults.push(unknown(place, key, |setting| setting.key)),
    };
    match text_of(setting, value) {
        Ok(text) => gathered.offer(setting, Origin::File, &place, text),
        Err(expected) => {
            gathered.unreadable.insert(setting.key);
            let place = format!("{} ({place})", setting.variable);
            gathered.faults.push(Fault::unreadable(place, &value.to_string(), expected));
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
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Boolean(switch) => Ok(switch.to_string()),
        toml::Value::Array(items) if setting.kind == "TAGS" => {
            let tags: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            tags.map(|tags| tags.join(",")).ok_or("an array of texts")
        }
        _ => Err("a text, a whole number, or true or false"),
    }
}

// The values of names that this version does not know are never repeated: they may be secrets.

fn not_yet(place: String) -> Fault {
    Fault::new(place, "this version does not have this setting yet; take it out")
}

fn unknown(place: String, name: &str, known: fn(&Setting) -> &'static str) -> Fault {
    let near = nearest(name, SETTINGS.iter().map(known)).unwrap_or_default();
    Fault::new(place, format!("there is no such setting; the nearest is {near}"))
}
