//! What the sources give, by setting, and what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};

use super::fault::Fault;
use super::lists::List;
use super::setting::{Effective, Origin, Setting};

/// What a source gives for a setting.
pub(super) enum Given {
    /// As it stands in a flag or a variable.
    Text(String),
    /// What stands in the file as tables, such as `[[peer]]`.
    Tables(toml::Value),
}

/// A value that a source gives for a setting.
struct Candidate {
    origin: Origin,
    /// The setting and the source, in words.
    place: String,
    given: Given,
}

/// What was found for a setting in its strongest source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) origin: Origin,
    /// The value as it was written; `None` where it could not be read. For a list how many entries it has.
    pub(super) text: Option<String>,
}

/// What the sources give, by the key of the setting, the strongest first, and what is wrong so far.
#[derive(Default)]
pub(super) struct Gathered {
    candidates: BTreeMap<&'static str, Vec<Candidate>>,
    found: BTreeMap<&'static str, Found>,
    unreadable: BTreeSet<&'static str>,
    service_links: Vec<String>,
    faults: Vec<Fault>,
}

impl Gathered {
    pub(super) fn offer(&mut self, setting: &'static Setting, origin: Origin, place: &str, given: Given) {
        let place = match origin {
            Origin::Default => format!("{} (default)", setting.variable),
            _ => format!("{} ({place})", setting.variable),
        };
        self.candidates.entry(setting.key).or_default().push(Candidate { origin, place, given });
    }

    /// Notes what is wrong beside the values of settings.
    pub(super) fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// Notes a variable that Kubernetes made.
    pub(super) fn pass_over(&mut self, variable: &str) {
        self.service_links.push(variable.to_owned());
    }

    /// The variables that Kubernetes made. They count for nothing.
    pub(super) fn service_links(&self) -> &[String] {
        &self.service_links
    }

    /// Notes that a source contradicts itself about a setting.
    pub(super) fn contradict(&mut self, setting: &'static Setting, fault: Fault) {
        self.unreadable.insert(setting.key);
        self.faults.push(fault);
    }

    /// Notes that a source gives something for a setting that cannot be a value of any.
    pub(super) fn refuse(&mut self, setting: &'static Setting, place: String, given: &str, expected: &str) {
        self.unreadable.insert(setting.key);
        self.faults.push(match setting.is_secret() {
            true => Fault::new(place, format!("expected {expected}")),
            false => Fault::unreadable(place, given, expected),
        });
    }

    /// The strongest text that is given for a setting, after the place where it stands.
    pub(super) fn strongest(&self, key: &str) -> Option<(&str, &str)> {
        match self.candidates.get(key)?.first()? {
            Candidate { place, given: Given::Text(text), .. } => Some((place, text)),
            Candidate { given: Given::Tables(_), .. } => None,
        }
    }

    /// Reads every candidate of a setting, notes those that are faults, and answers the strongest that could be read.
    pub(super) fn take<T>(&mut self, key: &'static str, read: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let hidden = Setting::by_key(key).is_some_and(Setting::is_token);
        self.take_each(key, |place, given| {
            let Given::Text(text) = given else { return Err(vec![Fault::new(place, "expected a text")]) };
            match read(text) {
                Ok(read) if hidden && !text.is_empty() => Ok((read, "hidden".to_owned())),
                Ok(read) => Ok((read, text.clone())),
                Err(expected) if hidden => Err(vec![Fault::new(place, format!("expected {expected}"))]),
                Err(expected) => Err(vec![Fault::unreadable(place, text, &expected)]),
            }
        })
    }

    /// As [`take`](Self::take), for a list.
    pub(super) fn take_list<T>(&mut self, setting: &'static Setting, list: &List<T>) -> Option<Vec<T>> {
        self.take_each(setting.key, |place, given| {
            let read = match given {
                Given::Text(text) => list.in_text(text),
                Given::Tables(tables) => list.in_tables(tables),
            };
            let entries = read.map_err(|faults| faults.into_iter().map(|fault| fault.at(place)).collect::<Vec<_>>())?;
            let count = list.count(entries.len());
            Ok((entries, count))
        })
    }

    fn take_each<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&str, &Given) -> Result<(T, String), Vec<Fault>>,
    ) -> Option<T> {
        let mut value = None;
        for candidate in self.candidates.remove(key)? {
            let (read, text) = match read(&candidate.place, &candidate.given) {
                Ok((read, text)) => (Some(read), Some(text)),
                Err(faults) => {
                    self.unreadable.insert(key);
                    self.faults.extend(faults);
                    (None, None)
                }
            };
            value = value.or(read);
            self.found.entry(key).or_insert(Found { origin: candidate.origin, text });
        }
        value
    }

    /// What was found for each setting that was taken.
    pub(super) fn found(&self) -> &BTreeMap<&'static str, Found> {
        &self.found
    }

    /// What a setting comes to, once it was taken.
    pub(super) fn effective(&self, setting: &'static Setting) -> Effective {
        let found = self.found.get(setting.key);
        let value = found.and_then(|found| found.text.clone());
        Effective { setting, value, origin: found.map_or(Origin::Default, |found| found.origin) }
    }

    /// The keys of the settings that have a fault, and all faults.
    pub(super) fn into_faults(self) -> (BTreeSet<&'static str>, Vec<Fault>) {
        (self.unreadable, self.faults)
    }
}
