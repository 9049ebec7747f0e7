//! How deep a message may be nested.

use std::num::NonZeroUsize;

use super::{accepted, application, refused, relay};
use crate::protocol::{Code, Sender, decode};

/// JSON of `levels` levels, all of them arrays, objects, or both in turn, with brackets in strings that do not count.
fn nested(levels: usize, opens: [&str; 2], closes: [&str; 2]) -> String {
    let open: String = (0..levels).map(|level| opens[level % 2]).collect();
    let close: String = (0..levels).rev().map(|level| closes[level % 2]).collect();
    format!("{open}1{close}")
}

fn shapes(levels: usize) -> Vec<String> {
    let (array, object, wide) = ("[", r#"{"[[{\\\"[":"#, r#"[0,"]]}\"}",[{}],"#);
    vec![
        nested(levels, [array, array], ["]", "]"]),
        nested(levels, [object, object], ["}", "}"]),
        nested(levels, [array, object], ["]", "}"]),
        nested(levels, [r#" { "a" : "\\\\" , "b" : "#, array], [" }\n", ",2]"]),
        // The small pieces in the width are two levels deep themselves.
        nested(levels - 2, [wide, wide], ["]", "]"]).replace('1', "[[]]"),
    ]
}

fn good_and_bad(sender: &Sender, text: impl Fn(&str) -> String, field: &str) {
    for good in shapes(63) {
        accepted(&text(&good), sender);
    }
    for bad in shapes(64) {
        let text = text(&bad);
        let refusal = refused(&text, sender);
        assert_eq!(refusal.code(), Code::InvalidMessage, "{text}");
        let reason =
            format!("{field}: expected a message of at most 64 levels of objects and arrays, itself counted, got more");
        assert_eq!(refusal.reason(), reason, "{text}");
        assert_eq!(refusal.message_id().map(AsRef::as_ref), Some("m"), "the sender is told which message it was");
    }
}

#[test]
fn a_message_is_64_levels_deep_at_most_whatever_field_it_is() {
    for sender in [application(), relay()] {
        for message_type in ["SK", "CMD", "CUSTOM"] {
            let text =
                |value: &str| format!(r#"{{"value":{value},"type":"{message_type}","key":"k","messageId":"m"}}"#);
            good_and_bad(&sender, text, "value");
        }
        for field in ["more", "sourceInstanceId", "messageIds"] {
            let text = |value: &str| format!(r#"{{"type":"X","{field}":{value},"messageId":"m"}}"#);
            good_and_bad(&sender, text, field);
        }
    }
    let deep = nested(64, ["[", "["], ["]", "]"]);
    for field in ["messagePath", "targetedTags", "key", "inReplyTo", "mandatory"] {
        let refusal = refused(&format!(r#"{{"type":"X","{field}":{deep}}}"#), &application());
        assert!(
            refusal.reason().starts_with(&format!("{field}: expected a message of at most 64 levels")),
            "{refusal}"
        );
    }
    // An application's stamp is ignored, and yet a part of the message.
    assert!(
        refused(&format!(r#"{{"type":"X","relayStamp":{deep}}}"#), &application()).reason().starts_with("relayStamp")
    );
}

#[test]
fn brackets_in_strings_and_beside_each_other_are_no_levels() {
    for value in [
        format!(r#""{}""#, r#"[{\\\""#.repeat(500)),
        format!("[{}[]]", "[],{},".repeat(500)),
        format!(r#"["{}"]"#, "[".repeat(500)),
        format!(r#"{{"{}":1}}"#, "{".repeat(500)),
        format!("[[{}]]", vec![r#"{"member":"[","weight":1}"#; 500].join(",")),
    ] {
        accepted(&format!(r#"{{"type":"SK","key":"k","value":{value},"more":{value}}}"#), &application());
    }
}

#[test]
fn a_quarter_of_a_million_levels_are_refused_like_65() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let text = format!(
            r#"{{"type":"SK","key":"k","value":{}1{},"messageId":"m"}}"#,
            open.repeat(250_000),
            close.repeat(250_000)
        );
        let refusal = refused(&text, &application());
        assert_eq!((refusal.code(), refusal.message_id().map(AsRef::as_ref)), (Code::InvalidMessage, Some("m")));
    }
    // What is never closed is no JSON.
    assert_eq!(refused(&format!(r#"{{"value":{}"#, "[".repeat(250_000)), &application()).code(), Code::InvalidJson);
}

#[test]
fn the_limit_is_the_configured_one() {
    let depth = |levels: usize| NonZeroUsize::new(levels).unwrap();
    let text = r#"{"type":"SW","key":"k","value":[{"member":"m","weight":1}],"messagePath":["a"]}"#;
    assert!(decode(text, &application(), depth(3), || ulid::Ulid(1)).is_ok());
    let refusal = decode(text, &application(), depth(2), || ulid::Ulid(1)).unwrap_err();
    assert!(refusal.reason().contains("at most 2 levels"), "{refusal}");
}

#[test]
fn the_name_of_a_field_is_shown_safely() {
    let text = format!(r#"{{"type":"X","{}\u001b\n":{}}}"#, "n".repeat(500), nested(64, ["[", "["], ["]", "]"]));
    let refusal = refused(&text, &application());
    assert!(refusal.reason().starts_with(&format!("{}…: expected", "n".repeat(64))), "{refusal}");
}
