//! One pass over the JSON object: which field stands where in the text. Nothing is interpreted here.

use std::fmt;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::fault::Fault;
use super::field::Field;
use super::{depth, json};

/// The fields of one JSON object, each as the JSON text of its value, which is known to be valid JSON.
#[derive(Debug)]
pub(in crate::protocol) struct Fields<'a> {
    /// The length of the whole text in bytes.
    pub(in crate::protocol) text_len: usize,
    values: [Option<&'a str>; Field::COUNT],
    /// The first field of the envelope's table that stands twice.
    pub(in crate::protocol) twice: Option<Field>,
    /// Most levels that the object may be deep, itself counted.
    max_depth: usize,
    /// The JSON text of the name of the first field with which it is deeper.
    too_deep: Option<&'a str>,
    /// Every other field in its order, each as `,"name":value` with the bytes of its name and value as they came.
    pub(in crate::protocol) others: Vec<u8>,
}

impl<'a> Fields<'a> {
    /// No fields yet. They are filled in by [`scan`](Self::scan) in place, because moving them costs.
    pub(in crate::protocol) const fn new(max_depth: usize) -> Self {
        Self { text_len: 0, values: [None; Field::COUNT], twice: None, max_depth, too_deep: None, others: Vec::new() }
    }

    /// Finds the fields of a text that is one JSON object and nothing else. A text of any depth can be scanned, since
    /// serde_json skips values without recursion: so a refusal can name a message that is too deep.
    pub(in crate::protocol) fn scan(&mut self, text: &'a str) -> Result<(), Fault> {
        let start = text.trim_ascii_start();
        if !start.starts_with('{') {
            return Err(Fault::not_an_object(start));
        }
        self.text_len = text.len();
        let mut json = serde_json::Deserializer::from_str(text);
        json.deserialize_map(self).and_then(|()| json.end()).map_err(|error| Fault::syntax(&error))
    }

    /// The JSON text of a field that is there and not `null`, which means the same as not being there.
    pub(in crate::protocol) fn get(&self, field: Field) -> Option<&'a str> {
        self.raw(field).filter(|json| *json != "null")
    }

    /// The JSON text of a field that is there.
    pub(in crate::protocol) fn raw(&self, field: Field) -> Option<&'a str> {
        self.values[field as usize]
    }

    /// That no field of the envelope's table stands twice.
    pub(in crate::protocol) fn check_once(&self) -> Result<(), Fault> {
        self.twice.map_or(Ok(()), |field| Err(Fault::twice(field)))
    }

    /// That no field makes the object too deep.
    pub(in crate::protocol) fn check_depth(&self) -> Result<(), Fault> {
        self.too_deep.map_or(Ok(()), |name| Err(Fault::too_deep(name, self.max_depth)))
    }

    fn put(&mut self, name: &'a str, value: &'a str) {
        if depth::is_deeper(value, self.max_depth - 1) {
            self.too_deep = self.too_deep.or(Some(name));
        }
        let field = json::text(name).and_then(|name| Field::named(&name));
        match field {
            Some(field) if field.is_of_the_envelope() => {
                if self.raw(field).is_some() {
                    self.twice = self.twice.or(Some(field));
                } else {
                    self.values[field as usize] = Some(value);
                }
                return;
            }
            Some(field) => self.values[field as usize] = Some(value),
            None => {}
        }
        self.others.reserve(name.len() + value.len() + 2);
        self.others.push(b',');
        self.others.extend_from_slice(name.as_bytes());
        self.others.push(b':');
        self.others.extend_from_slice(value.as_bytes());
    }
}

impl<'a> Visitor<'a> for &mut Fields<'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one JSON object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut object: A) -> Result<(), A::Error> {
        while let Some((name, value)) = object.next_entry::<&'a RawValue, &'a RawValue>()? {
            self.put(name.get(), value.get());
        }
        Ok(())
    }
}
