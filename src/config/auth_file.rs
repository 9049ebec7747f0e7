//! The auth file: which credentials peers may bring. Every fault is found, with the line of its table.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Faults};
use super::file;
use super::lists::{credential, strange};
use super::text::read_file;
use crate::listen::{Credential, Proof};

/// Most credentials of a relay.
pub const MAX_CREDENTIALS: usize = 10_000;

/// The name of a table.
const TABLE: &str = "credential";

/// Reads the file of credentials at this path.
///
/// # Errors
/// All that is wrong with it. None of it repeats what stands in the file: that may be a token in the wrong place.
pub fn read_credentials(path: &Path) -> Result<Vec<Credential>, Faults> {
    let shown = path.display().to_string();
    match read_file(path) {
        Ok(text) => read(&text, &shown),
        Err(error) => Err(cannot_be_read(&shown, &error.to_string())),
    }
}

fn cannot_be_read(path: &str, problem: &str) -> Faults {
    let problem = format!("got {path:?}, expected a TOML file of credentials that can be read: {problem}");
    Faults::new(vec![Fault::new("SLIPSTREAM_AUTH_FILE", problem)])
}

/// Reads the text of the file at `path`.
pub(super) fn read(text: &str, path: &str) -> Result<Vec<Credential>, Faults> {
    let (table, spans) = match (file::parse(text), DeTable::parse(text)) {
        (Ok(table), Ok(spans)) => (table, spans.into_inner()),
        (Err(problem), _) => return Err(cannot_be_read(path, &problem)),
        (_, Err(error)) => return Err(cannot_be_read(path, error.message())),
    };
    let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
    let line = |span: Range<usize>| 1 + ends.partition_point(|end| *end < span.start);
    let mut faults = Vec::new();
    for (key, _) in spans.iter().filter(|(key, _)| key.get_ref() != TABLE) {
        let place = format!("{path} line {}", line(key.span()));
        faults.push(Fault::new(place, format!("there is no such table; expected [[{TABLE}]]")));
    }
    let spans = spans.get(TABLE).and_then(|tables| tables.get_ref().as_array());
    let places: Vec<Place> =
        spans.iter().flat_map(|tables| tables.iter()).map(|table| Place::of(table, line)).collect();
    match table.get(TABLE).map(toml::Value::as_array) {
        Some(Some(tables)) if tables.len() > MAX_CREDENTIALS => {
            let problem = format!("got {} credentials, expected at most {MAX_CREDENTIALS}", tables.len());
            faults.push(Fault::new(path, problem));
        }
        Some(Some(tables)) if !tables.is_empty() => {
            let credentials = read_all(tables, &places, path, &mut faults);
            return if faults.is_empty() { Ok(credentials) } else { Err(Faults::new(faults)) };
        }
        Some(None) => faults.push(Fault::new(path, format!("expected tables, each under [[{TABLE}]]"))),
        // An empty file is rather one that is just being written than the wish that nobody may link.
        _ => faults.push(Fault::new(path, format!("expected at least one [[{TABLE}]]: without one nobody may link"))),
    }
    Err(Faults::new(faults))
}

/// The lines of a table.
#[derive(Default)]
struct Place {
    /// Where it begins.
    line: usize,
    /// Where fields stand that it cannot have, and what is wrong with them.
    strange: Vec<(usize, String)>,
}

impl Place {
    fn of(table: &toml::Spanned<DeValue<'_>>, line: impl Fn(Range<usize>) -> usize) -> Self {
        let fields = || table.get_ref().as_table().into_iter().flatten().map(|(key, _)| key);
        // Its header, or the first of its fields.
        let spans = fields().map(toml::Spanned::span).chain([table.span()]);
        let first = spans.min_by_key(|span| span.start).unwrap_or_default();
        let strange = fields().filter_map(|key| Some((line(key.span()), strange(key.get_ref())?))).collect();
        Self { line: line(first), strange }
    }
}

fn read_all(tables: &[toml::Value], places: &[Place], path: &str, faults: &mut Vec<Fault>) -> Vec<Credential> {
    let mut credentials = Vec::with_capacity(tables.len());
    let mut known: HashMap<Proof, usize> = HashMap::new();
    let nowhere = Place::default();
    for (number, table) in tables.iter().enumerate() {
        let Place { line, strange } = places.get(number).unwrap_or(&nowhere);
        let place = |line: usize| format!("{path} line {line}, credential {} of {}", number + 1, tables.len());
        faults.extend(strange.iter().map(|(line, problem)| Fault::new(place(*line), problem.clone())));
        let read = match table.as_table() {
            Some(table) => credential(table),
            None => Err(vec!["expected a table".to_owned()]),
        };
        let credential = match read {
            Ok(credential) => credential,
            Err(problems) => {
                faults.extend(problems.into_iter().map(|problem| Fault::new(place(*line), problem)));
                continue;
            }
        };
        match known.entry(credential.proof.clone()) {
            Entry::Vacant(vacant) => _ = vacant.insert(*line),
            Entry::Occupied(first) => {
                let field = match &credential.proof {
                    Proof::Token(_) => "token_sha256",
                    Proof::Certificate(_) => "certificate_subject",
                };
                let first = first.get();
                faults.push(Fault::new(place(*line), format!("{field}: the credential in line {first} has the same")));
            }
        }
        credentials.push(credential);
    }
    credentials
}
