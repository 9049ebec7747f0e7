//! Why a text is not taken, in words.

use super::field::Field;
use super::json::kind;

/// Why a text is not taken, for the person who wrote the program that sent it.
#[derive(Debug)]
pub(in crate::protocol) struct Fault(pub(in crate::protocol) String);

impl Fault {
    /// The longest part of a value that a reason repeats, in characters.
    const SHOWN: usize = 64;

    pub(in crate::protocol) fn not_an_object(text: &str) -> Self {
        let got = if text.is_empty() { "nothing" } else { kind(text) };
        Self(format!("expected one JSON object, got {got}"))
    }

    pub(in crate::protocol) fn syntax(error: &serde_json::Error) -> Self {
        Self(format!("expected one JSON object: {error}"))
    }

    pub(in crate::protocol) fn twice(field: Field) -> Self {
        Self(format!("{}: expected once, got it twice", field.name()))
    }

    pub(in crate::protocol) fn missing(field: Field, message_type: &str) -> Self {
        Self(format!("{}: required for {message_type}, got none", field.name()))
    }

    /// Every message that a relay sends has this field.
    pub(in crate::protocol) fn not_written(field: Field) -> Self {
        Self(format!("{}: expected a message as a relay sends it, which has one, got none", field.name()))
    }

    pub(in crate::protocol) fn expected(field: Field, expected: &str, json: &str) -> Self {
        Self(format!("{}: expected {expected}, got {}", field.name(), Self::shown(json)))
    }

    /// `name` is the JSON text of the field's name.
    pub(in crate::protocol) fn too_deep(name: &str, max_depth: usize) -> Self {
        let name = Self::shown(name.trim_matches('"'));
        Self(format!(
            "{name}: expected a message of at most {max_depth} levels of objects and arrays, itself counted, got more"
        ))
    }

    fn shown(text: &str) -> String {
        let mut rest = text.chars();
        let mut shown: String = rest.by_ref().take(Self::SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
        if rest.next().is_some() {
            shown.push('…');
        }
        shown
    }
}
