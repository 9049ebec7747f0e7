//! The lists of the configuration: JSON, its base64, or tables of the settings file. Every fault of every entry is found.
//! None repeats a URL, which may carry a secret in its query, or a token.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose};
use serde_json::Value;
use serde_json::value::RawValue;
use slipstream_store::PeerId;

use super::entry::{Entry, Fields, Notation};
use crate::config::fault::{Fault, Faults};
use crate::config::text::without_mark;

/// Standard base64, with or without its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One kind of list: no two entries of it have the same id.
pub(in crate::config) struct List<T> {
    /// What its entries are.
    pub(super) what: &'static str,
    /// The name of a table of the file that is an entry.
    pub(super) table: &'static str,
    /// Most entries.
    pub(super) most: usize,
    /// Every field that an entry may have, as it is written in JSON.
    pub(super) fields: &'static [&'static str],
    /// Reads an entry. Without a fault there is something.
    pub(super) read: fn(&mut Entry<'_>) -> Option<T>,
}

/// One thing that is wrong with a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct ListFault {
    /// The entry, where it is about one.
    entry: Option<String>,
    /// What is wrong, in words.
    problem: String,
}

impl ListFault {
    fn all(problem: impl Into<String>) -> Vec<Self> {
        vec![Self { entry: None, problem: problem.into() }]
    }

    /// The fault of a list that stands there.
    pub(in crate::config) fn at(self, place: &str) -> Fault {
        match self.entry {
            Some(entry) => Fault::new(format!("{place} {entry}"), self.problem),
            None => Fault::new(place, self.problem),
        }
    }
}

impl<T> List<T> {
    /// Reads a JSON array, or its base64 in either alphabet. An empty text is an empty list.
    pub(in crate::config) fn in_text(&self, text: &str) -> Result<Vec<T>, Vec<ListFault>> {
        let text = without_mark(text).trim();
        if text.is_empty() {
            return Ok(Vec::new());
        }
        // No alphabet of base64 has a bracket.
        if text.starts_with(['[', '{']) {
            return self.read_all(&self.json_entries(text)?, Notation::Json);
        }
        let expected = || ListFault::all(format!("expected a JSON array of {}, or its base64", self.what));
        let json = decode(text).ok_or_else(expected)?;
        self.read_all(&self.json_entries(without_mark(&json).trim())?, Notation::Json)
    }

    /// Reads what stands under its tables in the settings file.
    pub(in crate::config) fn in_tables(&self, tables: &toml::Value) -> Result<Vec<T>, Vec<ListFault>> {
        let expected = || ListFault::all(format!("expected tables, each under [[{}]]", self.table));
        let tables = tables.as_array().ok_or_else(expected)?;
        let entries: Vec<Option<Fields>> = tables.iter().map(|table| Fields::from_table(table.as_table()?)).collect();
        self.read_all(&entries, Notation::Toml)
    }

    /// Makes the base64 of a JSON array, without the white space between its tokens. `place` says where the JSON comes
    /// from.
    pub(super) fn encode(&self, json: &str, place: &str) -> Result<String, Faults> {
        let checked = self.json_entries(without_mark(json).trim()).and_then(|entries| {
            self.read_all(&entries, Notation::Json)?;
            serde_json::to_vec(&entries).map_err(|error| ListFault::all(error.to_string()))
        });
        match checked {
            Ok(compact) => Ok(general_purpose::STANDARD.encode(compact)),
            Err(faults) => Err(Faults::new(faults.into_iter().map(|fault| fault.at(place)).collect())),
        }
    }

    /// How many entries there are, in words; empty for none.
    pub(in crate::config) fn count(&self, entries: usize) -> String {
        match entries {
            0 => String::new(),
            1 => format!("1 {}", self.table),
            count => format!("{count} {}", self.what),
        }
    }

    /// The entries of a JSON array, `None` for one that is not an object. The message has the line and the column and
    /// never the text.
    fn json_entries(&self, json: &str) -> Result<Vec<Option<Fields>>, Vec<ListFault>> {
        let what = self.what;
        if !json.starts_with('[') {
            return Err(ListFault::all(format!("expected a JSON array of {what}")));
        }
        let entries: Vec<&RawValue> = serde_json::from_str(json)
            .map_err(|error| ListFault::all(format!("expected a JSON array of {what}: {error}")))?;
        Ok(entries.iter().map(|entry| serde_json::from_str(entry.get()).ok()).collect())
    }

    fn read_all(&self, entries: &[Option<Fields>], notation: Notation) -> Result<Vec<T>, Vec<ListFault>> {
        let (count, most, what) = (entries.len(), self.most, self.what);
        if count > most {
            return Err(ListFault::all(format!("got {count} {what}, expected at most {most}")));
        }
        let mut list = Vec::with_capacity(count);
        let mut faults = Vec::new();
        let mut numbers: BTreeMap<PeerId, usize> = BTreeMap::new();
        for (number, fields) in (1..).zip(entries) {
            let mut place = format!("entry {number} of {count}");
            let Some(fields) = fields else {
                faults.push(ListFault { entry: Some(place), problem: "expected an object".to_owned() });
                continue;
            };
            if let Some(host) = fields.0.iter().find(|(name, _)| name == "url").and_then(|(_, url)| host(url)) {
                place = format!("{place} ({})", Fault::shortened(&host));
            }
            let mut entry = Entry::new(fields, notation);
            entry.refuse_strangers(self.fields);
            let read = (self.read)(&mut entry);
            if let Some(id) = entry.id.take() {
                match numbers.get(&id) {
                    Some(first) => entry
                        .faults
                        .push(format!("its id {id} is that of entry {first} too; give one of them another id")),
                    None => drop(numbers.insert(id, number)),
                }
            }
            faults.extend(entry.faults.into_iter().map(|problem| ListFault { entry: Some(place.clone()), problem }));
            list.extend(read);
        }
        if faults.is_empty() { Ok(list) } else { Err(faults) }
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

/// The host of a URL, if it has one: the part that is never a secret.
fn host(url: &Value) -> Option<String> {
    let uri: hyper::Uri = url.as_str()?.parse().ok()?;
    uri.scheme()?;
    Some(uri.host()?.to_owned())
}
