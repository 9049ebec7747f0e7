//! From the JSON text of one field to its value. Every text that comes in here is valid JSON already.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer as _, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;
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
        let mut rest = json.chars();
        let shown: String = rest
            .by_ref()
            .take(Self::SHOWN)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let more = if rest.next().is_some() { "…" } else { "" };
        Self(format!("{}: expected {expected}, got {shown}{more}", field.name()))
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
    text(json)
        .and_then(|text| T::named(&text).ok())
        .ok_or_else(|| Fault::expected(field, T::EXPECTED, json))
}

/// The names in a field that is an array of at most `max` of them; none where the field is not there.
pub(super) fn names<T: Name>(fields: &Fields<'_>, field: Field, max: usize) -> Result<Vec<T>, Fault> {
    let Some(json) = fields.get(field) else {
        return Ok(Vec::new());
    };
    if !json.starts_with('[') {
        return Err(Fault::expected(field, "an array", json));
    }
    let mut list = List {
        field,
        max,
        items: Vec::new(),
        fault: None,
    };
    match (
        serde_json::Deserializer::from_str(json).deserialize_seq(&mut list),
        list.fault,
    ) {
        (Ok(()), None) => Ok(list.items),
        (_, Some(fault)) => Err(fault),
        (Err(error), None) => Err(Fault(format!("{}: {error}", field.name()))),
    }
}

/// Reads a list up to its first fault.
struct List<T> {
    field: Field,
    max: usize,
    items: Vec<T>,
    fault: Option<Fault>,
}

impl<T: Name> List<T> {
    fn take(&mut self, json: &str) -> Result<(), Fault> {
        if self.items.len() == self.max {
            return Err(Fault(format!(
                "{}: expected at most {} items, got more",
                self.field.name(),
                self.max
            )));
        }
        self.items.push(one(self.field, json)?);
        Ok(())
    }
}

impl<'de, T: Name> Visitor<'de> for &mut List<T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        while let Some(item) = array.next_element::<&'de RawValue>()? {
            if let Err(fault) = self.take(item.get()) {
                self.fault = Some(fault);
                return Err(A::Error::custom("the list is not read to its end"));
            }
        }
        Ok(())
    }
}

/// The point in time in a field, if the field is there. Any integer is one: what lies before the Unix epoch is taken
/// as the epoch, and what lies beyond the last timestamp as that.
pub(super) fn time(fields: &Fields<'_>, field: Field) -> Result<Option<Timestamp>, Fault> {
    let Some(json) = fields.get(field) else { return Ok(None) };
    let digits = json.strip_prefix('-').unwrap_or(json);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::expected(
            field,
            "an integer, milliseconds since the Unix epoch",
            json,
        ));
    }
    if json.starts_with('-') {
        return Ok(Some(Timestamp::ZERO));
    }
    Ok(Some(digits.parse().map_or(Timestamp::MAX, Timestamp::from_millis)))
}
