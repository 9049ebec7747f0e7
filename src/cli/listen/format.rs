//! How a message is printed: `--format`.

use std::borrow::Cow;
use std::collections::HashMap;

use anyhow::Context as _;
use serde_json::value::RawValue;

use crate::cli::frame::Frame;
use crate::cli::output;

/// How a message is printed, on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Format {
    /// Type, key and value.
    Text,
    /// The whole message, as it came.
    Json,
    /// The value alone, as JSON.
    Value,
    /// What the operator wants.
    Template(Vec<Part>),
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// Stands for itself.
    Text(String),
    /// Stands for a field of the message.
    Field(String),
}

impl Format {
    /// Reads the name of a format, or a template.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            "value" => Ok(Self::Value),
            _ => template(text)
                .filter(|parts| parts.iter().any(|part| matches!(part, Part::Field(_))))
                .map(Self::Template)
                .ok_or_else(|| {
                    "expected text, json, value, or a template with fields of the message in braces, such as \
                     `{key}\\t{value}`; {{ and }} are braces, \\t a tab, \\n a new line, \\\\ a backslash"
                        .to_owned()
                }),
        }
    }

    /// The line for a message, of which `frame` was read from `text`.
    ///
    /// # Errors
    /// If the text is no JSON object.
    pub(super) fn line(&self, text: &str, frame: &Frame<'_>) -> anyhow::Result<String> {
        match self {
            Self::Text => Ok(frame.to_string()),
            Self::Json => Ok(output::one_line(text)),
            Self::Value => Ok(output::one_line(frame.value.map_or("", RawValue::get))),
            Self::Template(parts) => {
                let fields: HashMap<Cow<'_, str>, &RawValue> =
                    serde_json::from_str(text).context("what came is no JSON object")?;
                let shown = |part: &Part| match part {
                    Part::Text(text) => text.clone(),
                    Part::Field(name) => fields.get(name.as_str()).map_or_else(String::new, |value| plain(value.get())),
                };
                Ok(parts.iter().map(shown).collect())
            }
        }
    }
}

/// A string without its quotes, anything else as it stands; on one line that a terminal does not act on.
fn plain(json: &str) -> String {
    match serde_json::from_str::<Cow<'_, str>>(json) {
        Ok(string) => output::printable(&string),
        Err(_) => output::printable(&output::one_line(json)),
    }
}

/// The parts of a template; `None` if it is not well-formed.
fn template(text: &str) -> Option<Vec<Part>> {
    let (mut parts, mut literal) = (Vec::new(), String::new());
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '\\' => literal.push(match rest.next()? {
                't' => '\t',
                'n' => '\n',
                '\\' => '\\',
                _ => return None,
            }),
            '{' | '}' if rest.next_if_eq(&next).is_some() => literal.push(next),
            '}' => return None,
            '{' => {
                let mut name = String::new();
                loop {
                    match rest.next()? {
                        '}' => break,
                        '{' => return None,
                        other => name.push(other),
                    }
                }
                if name.is_empty() {
                    return None;
                }
                parts.push(Part::Text(std::mem::take(&mut literal)));
                parts.push(Part::Field(name));
            }
            other => literal.push(other),
        }
    }
    parts.push(Part::Text(literal));
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str =
        "{\"type\":\"SK\",\"key\":\"a\\tb\",\"value\":{\"n\":\n1},\"messageId\":\"m\",\"mine\":[1, 2]}";

    fn line(format: &str, message: &str) -> String {
        let frame = Frame::read(message).expect("a message");
        Format::parse(format).expect("a format").line(message, &frame).expect("a line")
    }

    #[test]
    fn a_message_is_one_line_in_each_format() {
        for (format, expected) in [
            ("text", "SK a\\tb {\"n\": 1}"),
            ("value", "{\"n\": 1}"),
            ("{messageId}: {key}={value}", "m: a\\tb={\"n\": 1}"),
            ("{type}\\t{mine}\\\\{{{absent}}}", "SK\t[1, 2]\\{}"),
        ] {
            assert_eq!(line(format, MESSAGE), expected, "{format}");
        }
        assert_eq!(line("json", MESSAGE), MESSAGE.replace('\n', " "));
    }

    #[test]
    fn a_value_alone_is_json_and_in_a_template_a_string_has_no_quotes() {
        let message = r#"{"type":"SK","key":"k","value":"two\nlines \u001b[2J é"}"#;
        assert_eq!(line("value", message), r#""two\nlines \u001b[2J é""#);
        assert_eq!(line("{value}", message), "two\\nlines \\u{1b}[2J é");
        assert_eq!(line("value", r#"{"type":"GK","key":"k"}"#), "", "it has none");
        assert_eq!(line("{value}", r#"{"type":"SK","key":"k","value":"\ud800"}"#), r#""\ud800""#);
    }

    #[test]
    fn what_is_no_format_is_refused() {
        for text in ["", "jsn", "no fields", "{", "}", "{}", "{key", "key}", "{a{b}}", "{{key}}", "{key}\\x", "{key}\\"]
        {
            assert!(Format::parse(text).expect_err(text).contains("expected text, json"), "{text}");
        }
    }
}
