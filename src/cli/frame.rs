//! A text frame from a relay, as far as commands look at it.

use std::borrow::Cow;
use std::fmt;

use anyhow::Context as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::output;

/// The fields of a message, an ACK or a NACK. It displays as a message for people: type, key and value.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Frame<'a> {
    #[serde(borrow)]
    pub(super) r#type: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) key: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) value: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) message_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) message_ids: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) cluster_group_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) code: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) reason: Option<Cow<'a, str>>,
}

/// Keeps a value that is `null`, which is not the same as none.
fn present<'a, D: Deserializer<'a>>(input: D) -> Result<Option<&'a RawValue>, D::Error> {
    Deserialize::deserialize(input).map(Some)
}

impl<'a> Frame<'a> {
    /// # Errors
    /// Where it is not the JSON of the protocol: whoever sent it is no relay.
    pub(super) fn read(text: &'a str) -> anyhow::Result<Self> {
        serde_json::from_str(text).context("what came is no frame of a relay")
    }
}

impl fmt::Display for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&output::printable(&self.r#type))?;
        for part in [self.key.as_deref(), self.value.map(RawValue::get)].into_iter().flatten() {
            write!(f, " {}", output::printable(&output::one_line(part)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_shown_on_one_line_that_a_terminal_does_not_act_on() {
        let shown = |text: &str| Frame::read(text).expect("a message").to_string();
        assert_eq!(shown("{\"type\":\"SK\",\"key\":\"k\",\n\"value\":{\"a\":\n1}}"), "SK k {\"a\": 1}");
        assert_eq!(
            shown("{\"type\":\"SK\",\"key\":\"a\\tb\\u001b[2J\",\"value\":\"\u{9b}x\"}"),
            "SK a\\tb\\u{1b}[2J \"\\u{9b}x\""
        );
        assert_eq!(shown(r#"{"type":"PING","other":{}}"#), "PING");
        assert_eq!(shown(r#"{"type":"SK","key":"k","value":null}"#), "SK k null");
        assert!(Frame::read("[]").is_err());
    }
}
