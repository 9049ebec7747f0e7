//! One entry among the peers to dial: which fields it may have, and how each is read.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use slipstream_store::{InvalidId, PeerId, Tag};

use super::Fault;
use super::names::{hint, nearest};
use super::value::MAX_TAGS;
use crate::dial::DialledPeer;
use crate::link::{Secret, Target};

/// Every field that an entry may have, as it is written in JSON.
const FIELDS: [&str; 10] =
    ["url", "id", "tags", "clusterGroupId", "coalesce", "token", "ca", "cert", "key", "rejectUnauthorized"];

/// Longest token, in bytes. It goes into a header.
const MAX_TOKEN: usize = 4096;

const NO_TLS: &str = "this version does not speak TLS yet; take it out";

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
    /// The fields of a table; `None` where a value of it has no like in JSON.
    pub(super) fn from_table(table: &toml::Table) -> Option<Self> {
        let field = |(name, value): (&String, &toml::Value)| Some((name.clone(), serde_json::to_value(value).ok()?));
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
    /// The id that it gives, or that follows from its URL, where that much could be read.
    pub(super) alias: Option<PeerId>,
    /// What is wrong with it so far.
    pub(super) faults: Vec<String>,
}

impl<'a> Entry<'a> {
    pub(super) fn new(fields: &'a Fields, notation: Notation) -> Self {
        Self { fields: &fields.0, notation, alias: None, faults: Vec::new() }
    }

    /// Reads the entry. Without a fault there is a peer.
    pub(super) fn read(&mut self) -> Option<DialledPeer> {
        self.refuse_strangers();
        let target = self.field("url", target);
        if target.is_none() && !self.has("url") {
            self.faults.push("url: it is missing; expected a URL like ws://host:7171/".to_owned());
        }
        self.alias = self.field("id", name);
        if !self.has("id")
            && let Some(target) = &target
        {
            match PeerId::new(default_id(target)) {
                Ok(id) => self.alias = Some(id),
                Err(_) => self.faults.push("id: the one that follows from the url is too long; give one".to_owned()),
            }
        }
        let tags = self.field("tags", tags);
        let group = self.field("clusterGroupId", name);
        let coalesce = self.field("coalesce", switch);
        let token = self.field("token", token);
        for field in ["ca", "cert", "key"] {
            self.field(field, |_| Err::<(), _>(NO_TLS.to_owned()));
        }
        self.field("rejectUnauthorized", |value| if switch(value)? { Ok(()) } else { Err(NO_TLS.to_owned()) });
        Some(DialledPeer {
            target: target?,
            alias: self.alias.clone()?,
            tags: tags.filter(|tags| !tags.is_empty()),
            group,
            coalesce: coalesce.unwrap_or_default(),
            token,
        })
    }

    /// The value of a field; `null` is the field left out.
    fn given(&self, field: &str) -> Option<&'a Value> {
        let name = self.notation.name(field);
        self.fields.iter().find(|(each, _)| *each == name).map(|(_, value)| value).filter(|value| !value.is_null())
    }

    fn has(&self, field: &str) -> bool {
        self.given(field).is_some()
    }

    fn field<T>(&mut self, field: &str, read: impl FnOnce(&Value) -> Result<T, String>) -> Option<T> {
        let problem = match read(self.given(field)?) {
            Ok(value) => return Some(value),
            Err(problem) => problem,
        };
        self.faults.push(format!("{}: {problem}", self.notation.name(field)));
        None
    }

    /// Refuses fields that no entry has, and those that stand twice.
    fn refuse_strangers(&mut self) {
        let known = FIELDS.map(|field| self.notation.name(field));
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

/// The id of a peer that was given none: host and port, and the path where there is one.
fn default_id(target: &Target) -> String {
    let path = target.path.split('?').next().filter(|path| *path != "/").unwrap_or_default();
    let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | ':' | '-');
    let place = target.to_string().to_ascii_lowercase() + path;
    place.chars().map(|each| if allowed(each) { each } else { '_' }).collect()
}

fn target(value: &Value) -> Result<Target, String> {
    let url = value.as_str().ok_or("expected a text")?;
    if url.contains('#') {
        return Err("expected a URL without #".to_owned());
    }
    match Target::parse(url)? {
        Target { port: 0, .. } => Err("expected a port from 1 to 65535".to_owned()),
        target => Ok(target),
    }
}

fn name<T: FromStr<Err = InvalidId>>(value: &Value) -> Result<T, String> {
    let got = |expected: &str| format!("got {}, expected {expected}", shortened(value));
    let text = value.as_str().ok_or_else(|| got("a text"))?;
    text.parse().map_err(|invalid: InvalidId| got(invalid.expected()))
}

fn tags(value: &Value) -> Result<Arc<[Tag]>, String> {
    let expected = || {
        let rule = "each 1 to 64 of A-Z a-z 0-9 . _ : -";
        format!("got {}, expected an array of up to {MAX_TAGS} tags, {rule}", shortened(value))
    };
    let items = value.as_array().filter(|items| items.len() <= MAX_TAGS).ok_or_else(expected)?;
    let tag = |item: &Value| item.as_str().and_then(|text| Tag::new(text).ok());
    items.iter().map(tag).collect::<Option<_>>().ok_or_else(expected)
}

fn switch(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("got {}, expected true or false", shortened(value)))
}

/// The message never has the value.
fn token(value: &Value) -> Result<Secret, String> {
    let token = value.as_str().filter(|text| (1..=MAX_TOKEN).contains(&text.len()));
    match token.filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic())) {
        Some(token) => Ok(Secret::new(token.to_owned())),
        None => Err(format!("expected 1 to {MAX_TOKEN} of the ASCII characters ! to ~")),
    }
}

/// A value as a fault repeats it.
fn shortened(value: &Value) -> String {
    Fault::shortened(&value.to_string())
}
