//! What is wrong with a configuration, in words for the operator.

use std::fmt;

use super::discreet::discreet;

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    place: String,
    problem: String,
}

impl Fault {
    /// Longest part of an offending value that a fault repeats, in characters.
    const SHOWN: usize = 64;

    /// A fault at `place`, which names the setting and the source. It is told in one line, whatever stands in either.
    pub(crate) fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        let [place, problem] = [place.into(), problem.into()].map(|text| text.replace(char::is_control, " "));
        Self { place, problem }
    }

    /// A value that could not be read.
    pub(super) fn unreadable(place: impl Into<String>, value: &str, expected: &str) -> Self {
        Self::new(place, format!("got {}, expected {expected}", Self::shortened(&format!("{:?}", discreet(value)))))
    }

    /// What a fault repeats of a text.
    pub(super) fn shortened(text: &str) -> String {
        let shown: String = text.chars().take(Self::SHOWN).collect();
        if shown.len() < text.len() { shown + "…" } else { shown }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

/// Everything that is wrong with a configuration; never empty. It displays as a heading and one line a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn new(faults: Vec<Fault>) -> Self {
        Self(faults)
    }

    /// The faults, in the order of their sources and of the table of settings.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }
}

impl Faults {
    /// The same, and those of another.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// All of them, for a line of the log.
    pub(crate) fn in_one_line(&self) -> String {
        let told: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        told.join("; ")
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("the configuration has a fault:")?,
            count => write!(f, "the configuration has {count} faults:")?,
        }
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for Faults {}
