//! From the JSON text of one field to its value. Every text that comes in here is valid JSON already.

use std::borrow::Cow;

use slipstream_store::{ClusterGroup, InvalidId, Key, MessageId, MessageType, PeerId, Tag, Timestamp};

use super::fields::{Field, Fields};

/// Why a text is not taken, for the person who wrote the program that sent it.
#[derive(Debug)]
pub(super) struct Fault(pub(super) String);

impl Fault {
    /// The longest part of a value that a reason repeats, in characters.
    const SHOWN: usize = 64;

    pub(super) fn not_an_object(text: &str) -> Self {
        let got = if text.is_empty() { "nothing" } else { kind(text) };
        Self(format!("expected one JSON object, got {got}"))
    }

    pub(super) fn syntax(error: &serde_json::Error) -> Self {
        Self(format!("expected one JSON object: {error}"))
    }

    pub(super) fn twice(field: Field) -> Self {
        Self(format!("{}: expected once, got it twice", field.name()))
    }

    pub(super) fn missing(field: Field, message_type: &str) -> Self {
        Self(format!("{}: required for {message_type}, got none", field.name()))
    }

    pub(super) fn expected(field: Field, expected: &str, json: &str) -> Self {
        Self(format!("{}: expected {expected}, got {}", field.name(), Self::shown(json)))
    }

    /// `name` is the JSON text of the field's name.
    pub(super) fn too_deep(name: &str, max_depth: usize) -> Self {
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

/// What sort of JSON value begins like this.
pub(super) fn kind(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        Some(b'-' | b'0'..=b'9') => "a number",
        _ => "something else",
    }
}

/// The string that this JSON text is; `None` where it is none, or has half a surrogate pair and so is no Unicode text.
pub(super) fn text(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner.as_bytes().contains(&b'\\') {
        serde_json::from_str(json).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// A name that a field may hold.
pub(super) trait Name: Sized {
    /// What a field of this kind should be, in words.
    const EXPECTED: &'static str;
    fn named(text: &str) -> Result<Self, InvalidId>;
}

macro_rules! names {
    ($($name:ident: $expected:literal),+) => {
        $(impl Name for $name {
            const EXPECTED: &'static str = $expected;
            fn named(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        })+
    };
}

names! {
    PeerId: "an id (1 to 128 of A-Z a-z 0-9 . _ : -)",
    ClusterGroup: "a cluster group (1 to 128 of A-Z a-z 0-9 . _ : -)",
    Tag: "a tag (1 to 64 of A-Z a-z 0-9 . _ : -)",
    MessageId: "a message id (1 to 128 of the ASCII characters ! to ~)",
    MessageType: "a type (an upper-case letter, then up to 31 of A-Z 0-9 _)",
    Key: "a string of 1 to 1024 bytes"
}

/// The name in a field, if the field is there.
pub(super) fn name<T: Name>(fields: &Fields<'_>, field: Field) -> Result<Option<T>, Fault> {
    fields.get(field).map(|json| one(field, json)).transpose()
}

fn one<T: Name>(field: Field, json: &str) -> Result<T, Fault> {
    text(json).and_then(|text| T::named(&text).ok()).ok_or_else(|| Fault::expected(field, T::EXPECTED, json))
}

/// The names in a field that is an array of at most `max` of them; none where the field is not there.
pub(super) fn names<T: Name>(fields: &Fields<'_>, field: Field, max: usize) -> Result<Vec<T>, Fault> {
    let Some(json) = fields.get(field) else {
        return Ok(Vec::new());
    };
    let Some(mut rest) = json.strip_prefix('[').map(str::trim_ascii_start) else {
        return Err(Fault::expected(field, "an array", json));
    };
    let mut names = Vec::new();
    while rest != "]" {
        if names.len() == max {
            return Err(Fault(format!("{}: expected at most {max} items, got more", field.name())));
        }
        let Some(item) = string_at(rest) else {
            return Err(Fault(format!("{}: expected {}, got {}", field.name(), T::EXPECTED, kind(rest))));
        };
        names.push(one(field, item)?);
        rest = rest[item.len()..].trim_ascii_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_ascii_start();
    }
    Ok(names)
}

/// The JSON text of the string that this text begins with, if it begins with one.
fn string_at(json: &str) -> Option<&str> {
    let mut escaped = false;
    let end = json.strip_prefix('"')?.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some(&json[..end + 2])
}

/// Whether a field says yes or no, if the field is there.
pub(super) fn boolean(fields: &Fields<'_>, field: Field) -> Result<Option<bool>, Fault> {
    match fields.get(field) {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(json) => Err(Fault::expected(field, "true or false", json)),
    }
}

/// The least point in time that a field may hold, in September 2001. Less was mostly meant as seconds, and the message
/// would be taken as one that expired decades ago.
const LEAST_TIME: u64 = 1_000_000_000_000;

/// The point in time in a field, if the field is there. What lies beyond the last timestamp is taken as that.
pub(super) fn time(fields: &Fields<'_>, field: Field) -> Result<Option<Timestamp>, Fault> {
    let Some(json) = fields.get(field) else { return Ok(None) };
    let is_integer = json.bytes().all(|byte| byte.is_ascii_digit());
    match json.parse() {
        Ok(millis) if is_integer && millis >= LEAST_TIME => Ok(Some(Timestamp::from_millis(millis))),
        Err(_) if is_integer => Ok(Some(Timestamp::MAX)),
        below => {
            let expected = format!("an integer, milliseconds since the Unix epoch, {LEAST_TIME} or more");
            let Fault(reason) = Fault::expected(field, &expected, json);
            let hint = if below.is_ok() { "; seconds must be multiplied by 1000" } else { "" };
            Err(Fault(reason + hint))
        }
    }
}
