//! The ids of the messages that are sent. The relay takes an id that comes again for the same message, so the ids decide
//! what is sent twice and what is another message.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use slipstream_store::{MessageId, PeerId, Tag};

use super::arguments::Arguments;
use crate::clock::{Clock as _, SystemClock};

/// What the ids of a stream begin with that has no name.
const UNNAMED: &str = "line";

/// Where the ids come from.
pub(super) enum Ids<'a> {
    /// From the command line.
    Given(&'a MessageId),
    /// From this field of each value.
    Field(&'a str),
    /// From the place and the content of each line, so that the same stream has the same ids when it is sent again.
    Lines { name: &'a str, of: Sha256 },
    /// A new one for each message.
    New,
}

impl<'a> Ids<'a> {
    /// The ids that `arguments` ask for. Each line that a person types is a message of its own.
    pub(super) fn of(arguments: &'a Arguments, typed: bool) -> Self {
        match (&arguments.message_id, &arguments.message_id_field, &arguments.stream) {
            (Some(id), ..) => Self::Given(id),
            (_, Some(field), _) => Self::Field(field),
            (_, _, Some(name)) => Self::lines(arguments, name),
            _ if arguments.is_stream() && !typed => Self::lines(arguments, UNNAMED),
            _ => Self::New,
        }
    }

    /// What the lines of one stream have in common. The relay's URL does not count: a stream that one relay of a mesh
    /// took half of is not doubled when it is sent to another. Nor does how long a message counts for.
    fn lines(arguments: &Arguments, name: &'a str) -> Self {
        let mut tags: Vec<_> = arguments.tags.iter().map(Tag::as_str).collect();
        let mut instances: Vec<_> = arguments.instances.iter().map(PeerId::as_str).collect();
        for targets in [&mut tags, &mut instances] {
            targets.sort_unstable();
            targets.dedup();
        }
        let mut of = Sha256::new_with_prefix("slipstream send 1");
        let sender = arguments.id.as_ref().map_or("", PeerId::as_str);
        for part in [name, sender, arguments.message_type.as_str(), arguments.key.as_str()] {
            add(&mut of, part);
        }
        for targets in [tags, instances] {
            of.update((targets.len() as u64).to_le_bytes());
            targets.into_iter().for_each(|target| add(&mut of, target));
        }
        Self::Lines { name, of }
    }

    /// The id of the message with this value, which stands in this line, counted from 1.
    ///
    /// # Errors
    /// What was expected of the value, in words.
    pub(super) fn id(&self, text: &str, value: &RawValue, line: u64, clock: &SystemClock) -> Result<MessageId, String> {
        match self {
            Self::Given(id) => Ok((*id).clone()),
            Self::New => Ok(clock.ulid().into()),
            Self::Field(field) => in_field(text, field),
            Self::Lines { name, of } => {
                let mut hash = of.clone();
                hash.update(line.to_le_bytes());
                add(&mut hash, value.get());
                let hash: [u8; 32] = hash.finalize().into();
                let hash = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>();
                MessageId::new(format!("{name}-{line}-{hash}")).map_err(|invalid| invalid.to_string())
            }
        }
    }
}

/// Adds a text to a hash so that its end is known.
fn add(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text);
}

/// The id that a field of a JSON object holds: a string, or a whole number.
fn in_field(text: &str, field: &str) -> Result<MessageId, String> {
    let expected = || format!("--message-id-field: expected a JSON object with the id in its field {field:?}");
    let object: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_str(text).map_err(|_| expected())?;
    let value = object.get(field).ok_or_else(expected)?.get();
    let number = value.strip_prefix('-').unwrap_or(value).bytes().all(|byte| byte.is_ascii_digit());
    let id = if number { Some(value.to_owned()) } else { serde_json::from_str(value).ok() };
    let id: String = id.ok_or_else(|| format!("{}, which is a string or a whole number", expected()))?;
    MessageId::new(id).map_err(|invalid| format!("field {field:?}: {invalid}"))
}

#[cfg(test)]
mod tests {
    use super::super::arguments::MAX_NAME_BYTES;
    use super::super::arguments::tests::arguments;
    use super::*;

    fn id_of(line: &[&str], text: &str, number: u64) -> Result<String, String> {
        let arguments = arguments(line);
        let value = arguments.json(text).expect("JSON");
        let id = Ids::of(&arguments, false).id(text, &value, number, &SystemClock::new())?;
        Ok(id.as_str().to_owned())
    }

    #[test]
    fn a_line_of_a_stream_has_an_id_by_its_place_its_content_and_where_it_goes() {
        let usual = id_of(&["k", "-"], "a", 1).expect("an id");
        assert!(usual.starts_with("line-1-"), "{usual}");
        for again in [
            &["k", "-"][..],
            &["--to", "ws://another/", "k", "-"],
            &["--expires", "1h", "--mandatory", "--quiet", "--timeout", "5s", "k", "-"],
            &["--file", "lines.txt", "k", "-"],
        ] {
            assert_eq!(id_of(again, "a", 1).as_ref(), Ok(&usual), "{again:?}");
        }
        assert_eq!(id_of(&["--tags", "a,b", "k", "-"], "a", 1), id_of(&["--tags", "b,a,b", "k", "-"], "a", 1));
        let mut all =
            vec![usual, id_of(&["k", "-"], "a", 2).expect("an id"), id_of(&["k", "-"], "b", 1).expect("an id")];
        for another in [
            &["l", "-"][..],
            &["--type", "EVENT", "k", "-"],
            &["--id", "app", "k", "-"],
            &["--tags", "a", "k", "-"],
            &["--instances", "a", "k", "-"],
            &["--stream", "monday", "k", "-"],
            &["--string", "k", "-"],
        ] {
            // As JSON and as a string it is another value.
            all.push(id_of(another, if another.contains(&"--string") { "7" } else { "a" }, 1).expect("an id"));
        }
        all.push(id_of(&["k", "-"], "7", 1).expect("an id"));
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count, "each is another message");
        let longest = "n".repeat(MAX_NAME_BYTES);
        id_of(&["--stream", &longest, "k", "-"], "a", u64::MAX).expect("no longer than an id may be");
    }

    #[test]
    fn one_message_and_what_is_typed_is_new_each_time() {
        assert_ne!(id_of(&["k", "a"], "a", 1), id_of(&["k", "a"], "a", 1));
        assert_eq!(id_of(&["--message-id", "m-1", "k", "a"], "a", 1), Ok("m-1".to_owned()));
        let (typed, named) = (arguments(&["k", "-"]), arguments(&["--stream", "s", "k", "-"]));
        assert!(matches!(Ids::of(&typed, true), Ids::New) && matches!(Ids::of(&named, true), Ids::Lines { .. }));
    }

    #[test]
    fn a_field_of_each_line_has_the_id() {
        let id = |text| id_of(&["--message-id-field", "id", "k", "-"], text, 3);
        for (text, expected) in [
            (r#"{"id":"a-7","x":1}"#, "a-7"),
            (r#"{"x":{"id":"no"},"id":17}"#, "17"),
            (r#"{"id":-1}"#, "-1"),
            (r#"{"\u0069d":"b"}"#, "b"),
        ] {
            assert_eq!(id(text).as_deref(), Ok(expected), "{text}");
        }
        for text in
            ["", "7", "[]", "{}", r#"{"id":null}"#, r#"{"id":1.5}"#, r#"{"id":{}}"#, r#"{"id":"a b"}"#, r#"{"id":""}"#]
        {
            assert!(id(text).expect_err("refused").contains("\"id\""), "{text}");
        }
    }
}
