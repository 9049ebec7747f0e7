//! From the JSON text of one field to its value. Every text that comes in here is valid JSON already.

use slipstream_store::{ClusterGroup, InvalidId, Key, MessageId, MessageType, PeerId, Tag, Timestamp};

use super::fault::Fault;
use super::field::Field;
use super::json::{kind, string_at, text};
use super::object::Fields;

/// A name that a field may hold.
pub(in crate::protocol) trait Name: Sized {
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
pub(in crate::protocol) fn name<T: Name>(fields: &Fields<'_>, field: Field) -> Result<Option<T>, Fault> {
    fields.get(field).map(|json| one(field, json)).transpose()
}

fn one<T: Name>(field: Field, json: &str) -> Result<T, Fault> {
    text(json).and_then(|text| T::named(&text).ok()).ok_or_else(|| Fault::expected(field, T::EXPECTED, json))
}

/// The names in a field that is an array of at most `max` of them; none where the field is not there.
pub(in crate::protocol) fn names<T: Name>(fields: &Fields<'_>, field: Field, max: usize) -> Result<Vec<T>, Fault> {
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

/// Whether a field says yes or no, if the field is there.
pub(in crate::protocol) fn boolean(fields: &Fields<'_>, field: Field) -> Result<Option<bool>, Fault> {
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
pub(in crate::protocol) fn time(fields: &Fields<'_>, field: Field) -> Result<Option<Timestamp>, Fault> {
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
