//! Properties over texts of any content: bytes are kept, nothing panics, nothing overflows.

use std::num::NonZeroUsize;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::{accepted, application, decode, forwarded, id, relay};
use crate::protocol::{Code, DEFAULT_MAX_DEPTH, Incoming};

/// JSON texts in all the ways in which one value can be written.
fn any_json() -> impl Strategy<Value = String> {
    let space = || select(vec!["", "", "", " ", "\n\t", " \r\n "]);
    let scalar = prop_oneof![
        select(vec!["null", "true", "false", "0", "-0", "1e400", "-1E-400", "0.10", "1.0e+2", "9007199254740993"])
            .prop_map(str::to_owned),
        any_string(),
    ];
    scalar.prop_recursive(5, 40, 5, move |inner| {
        let padded = (space(), inner, space()).prop_map(|(before, json, after)| format!("{before}{json}{after}"));
        let member = (space(), any_string(), space(), padded.clone())
            .prop_map(|(before, name, after, json)| format!("{before}{name}{after}:{json}"));
        prop_oneof![
            vec(padded, 0..5).prop_map(|items| format!("[{}]", items.join(","))),
            vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

/// Strings with every kind of escape, half surrogate pairs among them.
fn any_string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-zäö€😀 /{}\\[\\],:\u{7f}]{0,6}",
        1 => select(vec![r#"\""#, r"\\", r"\/", r"\b", r"\n", r"\u00e9", r"\uD800", r"\ud83d\ude00", r"\u0000"])
            .prop_map(str::to_owned),
    ];
    vec(piece, 0..5).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

/// Names of fields that the envelope does not know; some look like ones that it does.
fn any_unknown_name() -> impl Strategy<Value = String> {
    prop_oneof![
        "x[a-z]{0,5}".prop_map(|name| format!("\"{name}\"")),
        any_string().prop_map(|string| format!("\"x{}", &string[1..])),
        select(vec![
            r#""Type""#,
            r#"" key""#,
            r#""type\u0000""#,
            r#""\ud800""#,
            r#""""#,
            r#""code""#,
            r#""messageIds""#,
            r#""traceparent""#
        ])
        .prop_map(str::to_owned),
    ]
}

proptest! {
    #[test]
    fn value_and_unknown_fields_go_out_byte_for_byte(
        value in any_json(),
        unknown in vec((any_unknown_name(), any_json()), 0..6),
        first in 0..=6_usize,
    ) {
        let mut members: Vec<String> = unknown.iter().map(|(name, json)| format!("{name} : {json}")).collect();
        let known = format!(r#""type":"SK","key":"k","value": {value} "#);
        members.insert(first.min(members.len()), known);
        let text = format!("{{ {} }}", members.join(" ,"));

        let sent = forwarded(&accepted(&text, &application()), &application());
        let head = format!(r#"{{"type":"SK","key":"k","value":{value},"messageId":"#);
        prop_assert!(sent.starts_with(&head), "{}", sent);
        let tail: String = unknown.iter().map(|(name, json)| format!(",{name}:{json}")).collect();
        let tail = format!("\"{tail}}}");
        prop_assert!(sent.ends_with(&tail), "{} ends not with {}", sent, tail);
    }

    #[test]
    fn the_next_relay_reads_what_the_first_one_read(
        message_type in "[A-Z][A-Z0-9_]{0,8}",
        key in "\\PC{1,40}",
        message_id in "[!-~]{1,128}",
        tags in vec("[A-Za-z0-9._:-]{1,64}", 0..=64),
        instances in vec("[A-Za-z0-9._:-]{1,128}", 0..=64),
        path in vec("[A-Za-z0-9._:-]{1,128}", 0..=62),
        expires_at in prop::option::of(1_000_000_000_000..i64::MAX),
        value in any_json(),
    ) {
        prop_assume!(message_type != "ACK" && message_type != "NACK");
        let text = serde_json::json!({
            "type": message_type, "key": key, "messageId": message_id, "targetedTags": tags,
            "targetedInstances": instances, "messagePath": path, "expiresAt": expires_at,
        }).to_string();
        let text = format!(r#"{},"value":[{value}]}}"#, &text[..text.len() - 1]);

        let first = accepted(&text, &application());
        let sent = forwarded(&first, &application());
        prop_assert_eq!(first.key().map(AsRef::as_ref), Some(key.as_str()));
        prop_assert_eq!(first.identity().id.as_str(), message_id);
        let next = accepted(&sent, &relay());
        prop_assert_eq!(next.identity(), first.identity());
        prop_assert_eq!(next.message_type(), first.message_type());
        prop_assert_eq!(next.key(), first.key());
        prop_assert_eq!(next.targeted_tags(), first.targeted_tags());
        prop_assert_eq!(next.targeted_instances(), first.targeted_instances());
        prop_assert_eq!(next.expires_at(), first.expires_at());
        prop_assert_eq!(next.fingerprint(), first.fingerprint());
        prop_assert_eq!(next.stamp(), Some(super::stamp()));
        let outgoing = first.outgoing_path(&application().id, &id("here"));
        prop_assert_eq!(next.path(), &*outgoing);

        // Through a second relay only the path and the source differ.
        let expected = sent
            .replacen(r#""sourceInstanceId":"app""#, r#""sourceInstanceId":"relay-b""#, 1)
            .replacen(r#","here"]"#, r#","here","relay-b","here"]"#, 1);
        prop_assert_eq!(forwarded(&next, &relay()), expected);
    }

    #[test]
    fn no_text_makes_the_decoder_panic(text in prop_oneof![any::<String>(), any_json(), damaged()]) {
        for sender in [application(), relay()] {
            if let Ok(Incoming::Message(envelope)) = decode(&text, &sender, DEFAULT_MAX_DEPTH, || super::ASSIGNED) {
                let sent = forwarded(&envelope, &sender);
                prop_assert!(decode(&sent, &relay(), DEFAULT_MAX_DEPTH, || super::ASSIGNED).is_ok(), "{}", sent);
            }
        }
    }
}

/// Nearly valid texts of all kinds.
fn damaged() -> impl Strategy<Value = String> {
    let field = select(vec![
        "type",
        "key",
        "value",
        "messageId",
        "originInstanceId",
        "sourceInstanceId",
        "messagePath",
        "targetedTags",
        "targetedInstances",
        "clusterGroupId",
        "expiresAt",
        "mandatory",
        "inReplyTo",
        "relayStamp",
        "traceparent",
        "messageIds",
        "code",
        "reason",
    ]);
    let kind = select(vec!["SK", "SA", "X", "ACK", "NACK"]);
    let likely =
        prop_oneof![any_json(), Just(r#""m""#.to_owned()), Just(r#"["a","b"]"#.to_owned()), Just("5".to_owned())];
    let whole = (kind, vec((field, likely), 0..8)).prop_map(|(kind, fields)| {
        let fields: String = fields.iter().map(|(name, json)| format!(r#","{name}":{json}"#)).collect();
        format!(r#"{{"type":"{kind}","key":"k"{fields}}}"#)
    });
    (whole, any::<prop::sample::Index>(), any::<bool>()).prop_map(|(text, at, cut)| {
        let at = text.floor_char_boundary(at.index(text.len()));
        if cut { text[..at].to_owned() } else { text }
    })
}

/// Runs on a stack so small that recursion over the nesting would overflow it.
fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(128 * 1024).spawn(test).unwrap().join().unwrap();
}

#[test]
fn nesting_of_any_depth_needs_no_stack() {
    const DEPTH: usize = 1 << 19;
    on_a_small_stack(|| {
        let nested = format!("{}{}", "[".repeat(DEPTH), "]".repeat(DEPTH));
        for field in ["value", "unknown", "sourceInstanceId", "targetedTags", "messagePath", "key", "messageId"] {
            let text = format!(r#"{{"type":"X","{field}":{nested}}}"#);
            assert_eq!(super::refused(&text, &application()).code(), Code::InvalidMessage, "{field}");
        }
        for open in ["[", "{\"a\":", "{\"value\":["] {
            let text = open.repeat((1 << 20) / open.len());
            assert_eq!(super::refused(&text, &application()).code(), Code::InvalidJson, "{open}");
        }
        let text = format!(r#"{{"type":"X","value":{nested}}}"#);
        let Ok(Incoming::Message(envelope)) = decode(&text, &application(), NonZeroUsize::MAX, || super::ASSIGNED)
        else {
            panic!("there is no limit but the configured one");
        };
        assert!(forwarded(&envelope, &application()).contains(&nested));
    });
}

#[test]
fn many_unknown_fields_are_kept_in_their_order() {
    let unknown: String = (0..100_000).map(|number| format!(r#","u{}":{number}"#, number % 7)).collect();
    let text = format!(r#"{{"type":"X"{unknown}}}"#);
    assert!(forwarded(&accepted(&text, &application()), &application()).ends_with(&format!("{unknown}}}")));
}
