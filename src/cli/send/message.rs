//! A message as it goes to the relay.

use serde::Serialize;
use serde_json::value::RawValue;
use slipstream_store::{MessageId, PeerId, Tag, Timestamp};

use super::arguments::Arguments;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    r#type: &'a str,
    key: &'a str,
    value: &'a RawValue,
    message_id: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    targeted_tags: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    targeted_instances: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    mandatory: bool,
}

impl Arguments {
    /// A value as JSON: as it is if it parses as JSON, otherwise, or with `--string`, a string.
    pub(super) fn json(&self, value: &str) -> serde_json::Result<Box<RawValue>> {
        match serde_json::from_str::<Box<RawValue>>(value) {
            Ok(json) if !self.string => Ok(json),
            _ => serde_json::value::to_raw_value(value),
        }
    }

    /// The message that carries this value under this id and is sent now, as text.
    pub(super) fn message(&self, value: &RawValue, id: &MessageId, now: Timestamp) -> serde_json::Result<String> {
        serde_json::to_string(&Message {
            r#type: self.message_type.as_str(),
            key: self.key.as_str(),
            value,
            message_id: id.as_str(),
            targeted_tags: self.tags.iter().map(Tag::as_str).collect(),
            targeted_instances: self.instances.iter().map(PeerId::as_str).collect(),
            expires_at: self.expires.map(|expiry| expiry.at(now).as_millis()),
            mandatory: self.mandatory,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::arguments::tests::arguments;
    use super::*;

    fn message(line: &[&str]) -> String {
        let arguments = arguments(line);
        let value = arguments.json(arguments.value.as_deref().expect("a value")).expect("JSON");
        let id = MessageId::new("m").expect("an id");
        arguments.message(&value, &id, Timestamp::from_millis(1_795_867_200_000)).expect("a message")
    }

    #[test]
    fn a_value_is_json_where_it_parses_as_json_and_a_string_otherwise() {
        for (value, json) in [
            (r#"{"total": 1.50}"#, r#"{"total": 1.50}"#),
            ("-5", "-5"),
            ("12345678901234567890123", "12345678901234567890123"),
            ("null", "null"),
            ("hello", r#""hello""#),
            ("", r#""""#),
            ("{broken", r#""{broken""#),
            ("1 2", r#""1 2""#),
            ("[1]\n", "[1]"),
            ("two\nlines\n", r#""two\nlines\n""#),
        ] {
            let expected = format!(r#"{{"type":"SK","key":"k","value":{json},"messageId":"m"}}"#);
            assert_eq!(message(&["k", value]), expected);
        }
        assert_eq!(message(&["--string", "k", "5"]), r#"{"type":"SK","key":"k","value":"5","messageId":"m"}"#);
    }

    #[test]
    fn what_is_asked_for_goes_into_the_message() {
        assert_eq!(
            message(&["--type", "SA", "--tags", "aws,production", "a\"b", "[]"]),
            r#"{"type":"SA","key":"a\"b","value":[],"messageId":"m","targetedTags":["aws","production"]}"#
        );
        assert_eq!(
            message(&["--instances", "a,b", "--expires", "1s", "--mandatory", "k", "1"]),
            r#"{"type":"SK","key":"k","value":1,"messageId":"m","targetedInstances":["a","b"],"expiresAt":1795867201000,"mandatory":true}"#
        );
    }
}
