//! One entry of a list in the configuration: its fields, and how those are read that several lists have.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use slipstream_store::{InvalidId, PeerId, Tag};

use crate::config::fault::Fault;
use crate::config::nearest::{hint, nearest};
use crate::config::value::MAX_TAGS;

/// How the names of fields are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notation {
    /// As in JSON: `clusterGroupId`.
    Json,
    /// As in TOML: `cluster_group_id`.
    Toml,
}

impl Notation {
    fn name(self, field: &str) -> Cow<'_, str> {
        if self == Self::Json {
            return Cow::Borrowed(field);
        }
        let mut name = String::with_capacity(field.len() + 4);
        for character in field.chars() {
            if character.is_ascii_uppercase() {
                name.push('_');
            }
            name.push(character.to_ascii_lowercase());
        }
        Cow::Owned(name)
    }
}

/// The fields of an entry as they were written, also one that stands twice.
pub(super) struct Fields(pub(super) Vec<(String, Value)>);

impl Fields {
    /// The fields of a table; `None` where a value of it has no like in JSON, as `nan`, which would be taken for `null`.
    pub(super) fn from_table(table: &toml::Table) -> Option<Self> {
        let json = |value: &toml::Value| serde_json::to_value(value).ok().filter(|json| !json.is_null());
        let field = |(name, value): (&String, &toml::Value)| Some((name.clone(), json(value)?));
        table.iter().map(field).collect::<Option<_>>().map(Self)
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// An entry that is being read.
pub(super) struct Entry<'a> {
    fields: &'a [(String, Value)],
    notation: Notation,
    /// The id that it gives, or that follows from the rest of it, where that much could be read.
    pub(super) id: Option<PeerId>,
    /// What is wrong with it so far.
    pub(super) faults: Vec<String>,
}

impl<'a> Entry<'a> {
    pub(super) fn new(fields: &'a Fields, notation: Notation) -> Self {
        Self { fields: &fields.0, notation, id: None, faults: Vec::new() }
    }

    /// The value of a field; `null` is the field left out.
    fn given(&self, field: &str) -> Option<&'a Value> {
        let name = self.notation.name(field);
        self.fields.iter().find(|(each, _)| *each == name).map(|(_, value)| value).filter(|value| !value.is_null())
    }

    pub(super) fn has(&self, field: &str) -> bool {
        self.given(field).is_some()
    }

    /// Reads a field, if it is there and without a fault. A fault says what was expected, and never what is there, which
    /// may be a secret.
    pub(super) fn field<T>(&mut self, field: &str, read: impl FnOnce(&Value) -> Result<T, String>) -> Option<T> {
        let problem = match read(self.given(field)?) {
            Ok(value) => return Some(value),
            Err(problem) => problem,
        };
        self.faults.push(format!("{}: {problem}", self.notation.name(field)));
        None
    }

    /// The same, whose fault also says what is there.
    pub(super) fn shown<T>(&mut self, field: &str, read: impl FnOnce(&Value) -> Result<T, String>) -> Option<T> {
        self.field(field, |value| {
            read(value).map_err(|expected| format!("got {}, {expected}", Fault::shortened(&value.to_string())))
        })
    }

    /// Refuses fields that are none of these, which are named as in JSON, and those that stand twice.
    pub(super) fn refuse_strangers(&mut self, known: &[&'static str]) {
        let known: Vec<_> = known.iter().map(|field| self.notation.name(field)).collect();
        for (index, (name, _)) in self.fields.iter().enumerate() {
            let shown: String = name.chars().take(32).collect();
            if !known.iter().any(|field| *field == *name) {
                let near = hint(nearest(name, known.iter().map(AsRef::as_ref)));
                self.faults.push(format!("{shown:?}: there is no such field{near}"));
            } else if self.fields.iter().take(index).any(|(earlier, _)| earlier == name) {
                self.faults.push(format!("{shown}: it stands twice"));
            }
        }
    }
}

pub(super) fn name<T: FromStr<Err = InvalidId>>(value: &Value) -> Result<T, String> {
    let text = value.as_str().ok_or("expected a text")?;
    text.parse().map_err(|invalid: InvalidId| format!("expected {}", invalid.expected()))
}

pub(super) fn tags(value: &Value) -> Result<Arc<[Tag]>, String> {
    let expected = || format!("expected an array of up to {MAX_TAGS} tags, each 1 to 64 of A-Z a-z 0-9 . _ : -");
    let items = value.as_array().filter(|items| items.len() <= MAX_TAGS).ok_or_else(expected)?;
    let tag = |item: &Value| item.as_str().and_then(|text| Tag::new(text).ok());
    items.iter().map(tag).collect::<Option<_>>().ok_or_else(expected)
}

pub(super) fn switch(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| "expected true or false".to_owned())
}
