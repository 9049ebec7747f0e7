//! The envelope's table, row by row: what is accepted, what is refused, and what goes out.

use serde_json::json;
use slipstream_store::{PeerKind, Timestamp};

use super::{ASSIGNED, accepted, application, forwarded, json, refused, relay, stamp};
use crate::protocol::{Code, Sender, max_path};

/// Sets a field of an otherwise valid message; `json` is JSON text.
fn with(field: &str, json: &str) -> String {
    match field {
        "type" => format!(r#"{{"key":"k","value":[],"type":{json}}}"#),
        "key" => format!(r#"{{"type":"GK","key":{json}}}"#),
        _ => format!(r#"{{"type":"CMD","key":"k","{field}":{json}}}"#),
    }
}

fn list(item: &str, count: usize) -> String {
    json!(vec![item; count]).to_string()
}

fn string(unit: &str, count: usize) -> String {
    json!(unit.repeat(count)).to_string()
}

/// Each of `good` is taken for the field and each of `bad` is refused with a reason that names it.
fn rule(sender: &Sender, field: &str, good: &[&str], bad: &[&str]) {
    for json in good {
        accepted(&with(field, json), sender);
    }
    for json in bad {
        let refusal = refused(&with(field, json), sender);
        assert_eq!(refusal.code(), Code::InvalidMessage, "{field} {json:.80}");
        assert!(refusal.reason().starts_with(&format!("{field}: ")), "{field} {json:.80}: {refusal}");
        assert!(refusal.reason().chars().count() < 200, "{refusal}");
    }
}

#[test]
fn type_is_required_and_follows_its_pattern() {
    let (longest, too_long) = (format!(r#""A{}""#, "_".repeat(31)), format!(r#""A{}""#, "_".repeat(32)));
    let good = [r#""SK""#, r#""SA""#, r#""SW""#, r#""GK""#, r#""GA""#, r#""GW""#, r#""CMD""#, r#""X9_""#, &longest];
    let bad =
        ["null", "1", r#""""#, r#""sk""#, r#""9A""#, r#""_A""#, r#""A-B""#, r#"" SK""#, r#""Ä""#, &too_long, "[]"];
    rule(&application(), "type", &good, &bad);
    assert!(refused(r#"{"key":"k"}"#, &application()).reason().starts_with("type: "));
}

#[test]
fn key_is_counted_in_bytes_of_the_decoded_string() {
    let escaped = format!("\"{}\"", r"\u0061".repeat(1_024));
    let good = [r#""k""#, r#"" \" \u00e9""#, &string("ö", 512), &escaped];
    let bad = ["null", "7", r#""""#, &string("ö", 513), r#""\ud800""#, &format!("\"{}\"", r"\u0061".repeat(1_025))];
    rule(&application(), "key", &good, &bad);
    assert_eq!(accepted(&with("key", r#""a\u0062\n""#), &application()).key().unwrap().as_str(), "ab\n");
}

#[test]
fn key_and_value_are_required_by_the_types_that_set_and_the_key_by_those_that_ask() {
    for (message_type, key, value) in [
        ("SK", true, true),
        ("SA", true, true),
        ("SW", true, true),
        ("GK", true, false),
        ("GA", true, false),
        ("GW", true, false),
        ("CMD", true, false),
        ("CUSTOM", false, false),
    ] {
        accepted(&format!(r#"{{"type":"{message_type}","key":"k","value":[]}}"#), &application());
        for (missing, required, text) in [
            ("key", key, format!(r#"{{"type":"{message_type}","value":[]}}"#)),
            ("key", key, format!(r#"{{"type":"{message_type}","value":[],"key":null}}"#)),
            ("value", value, format!(r#"{{"type":"{message_type}","key":"k"}}"#)),
        ] {
            if required {
                let refusal = refused(&text, &application());
                assert_eq!(refusal.reason(), format!("{missing}: required for {message_type}, got none"));
            } else {
                accepted(&text, &application());
            }
        }
    }
}

#[test]
fn arrays_and_weighted_sets_want_an_array_and_everything_else_takes_any_value() {
    for value in ["null", "true", "1e400", r#""secret""#, "{}", "[]", r#" [ {"member":1} ] "#] {
        for message_type in ["SK", "GK", "GA", "GW", "CMD", "CUSTOM"] {
            accepted(&format!(r#"{{"type":"{message_type}","key":"k","value":{value}}}"#), &application());
        }
        for message_type in ["SA", "SW"] {
            let text = format!(r#"{{"type":"{message_type}","key":"k","value":{value}}}"#);
            if value.trim().starts_with('[') {
                accepted(&text, &application());
            } else {
                let refusal = refused(&text, &application());
                assert!(refusal.reason().starts_with(&format!("value: {message_type} wants an array, got ")));
                assert!(!refusal.reason().contains("secret"), "{refusal}");
            }
        }
    }
}

#[test]
fn a_message_without_an_id_is_assigned_one() {
    let good = [r#""!""#, r#""~\"\\""#, "null", &string("x", 128)];
    rule(&application(), "messageId", &good, &[r#""""#, r#""a b""#, r#""é""#, r#""\u007f""#, "5", &string("x", 129)]);
    for text in [r#"{"type":"X"}"#, r#"{"type":"X","messageId":null}"#] {
        let envelope = accepted(text, &application());
        assert_eq!(envelope.identity().id.as_str(), ASSIGNED.to_string());
        assert_eq!(json(&forwarded(&envelope, &application()))["messageId"], ASSIGNED.to_string());
    }
}

#[test]
fn ids_and_groups_have_the_characters_and_the_length_of_a_peers_id() {
    let longest = string("x", 128);
    let good = [r#""a.b_c:d-9Z""#, &longest, "null"];
    let too_long = string("x", 129);
    let bad = [r#""""#, r#""a b""#, r#""a/b""#, r#""é""#, "1", "[]", &too_long];
    for field in ["originInstanceId", "clusterGroupId"] {
        rule(&application(), field, &good, &bad);
    }
}

#[test]
fn lists_are_bounded_and_hold_only_ids_or_tags() {
    let long_tag = string("t", 65);
    let application_path = max_path(PeerKind::Application);
    for (field, max) in [("targetedTags", 64), ("targetedInstances", 64), ("messagePath", application_path)] {
        let good = ["null", "[]", r#"["a:b", "\u0063"]"#, &list("x", max)];
        let bad = ["{}", r#""a""#, "[1]", "[null]", r#"[""]"#, r#"["a b"]"#, r#"["a",["b"]]"#, &list("x", max + 1)];
        rule(&application(), field, &good, &bad);
    }
    rule(&application(), "targetedTags", &[&format!("[{}]", string("t", 64))], &[&format!("[{long_tag}]")]);
    rule(&application(), "messagePath", &[&format!("[{long_tag}]")], &[&format!("[{}]", string("x", 129))]);
}

#[test]
fn a_list_is_not_read_beyond_its_limit() {
    // An item that breaks the rule lies behind the limit: the limit is what is found.
    let text = with("targetedTags", &format!("[{}5]", r#""x","#.repeat(200_000)));
    assert_eq!(refused(&text, &application()).reason(), "targetedTags: expected at most 64 items, got more");
}

#[test]
fn expiry_is_an_integer_of_milliseconds() {
    let good = ["1000000000000", "1700000000000", "123456789012345678901234567890", "null"];
    let bad =
        ["999999999999", "1764310687", "0", "-0", "-5", "-1700000000000", "1700000000000.0", "1.7e12", "true", "[]"];
    rule(&application(), "expiresAt", &good, &bad);
    rule(&relay(), "expiresAt", &good, &bad);
    for (json, expiry) in [
        ("1700000000000", Some(Timestamp::from_millis(1_700_000_000_000))),
        ("123456789012345678901234567890", Some(Timestamp::MAX)),
        ("null", None),
    ] {
        let text = with("expiresAt", json);
        let envelope = accepted(&text, &application());
        assert_eq!(envelope.expires_at(), expiry, "{json}");
        let sent = forwarded(&envelope, &application());
        assert_eq!(sent.contains(&format!(r#""expiresAt":{json},"#)), expiry.is_some(), "{sent}");
    }
    let expected = "expiresAt: expected an integer, milliseconds since the Unix epoch, 1000000000000 or more, got";
    for (json, got) in [
        ("1764310687", "1764310687; seconds must be multiplied by 1000"),
        ("-5", "-5"),
        ("1764310687.5", "1764310687.5"),
        (r#""1764310687000""#, r#""1764310687000""#),
    ] {
        assert_eq!(refused(&with("expiresAt", json), &application()).reason(), format!("{expected} {got}"));
    }
}

#[test]
fn mandatory_is_true_or_false_and_goes_out_unchanged() {
    let bad = ["1", "0", r#""true""#, "[]", "{}", "[true]"];
    for sender in [application(), relay()] {
        rule(&sender, "mandatory", &["true", "false", "null"], &bad);
        for (json, mandatory) in [("true", true), ("false", false), ("null", false)] {
            let text = with("mandatory", json);
            let envelope = accepted(&text, &sender);
            assert_eq!(envelope.is_mandatory(), mandatory, "{json}");
            let sent = forwarded(&envelope, &sender);
            assert_eq!(sent.contains(&format!(r#""mandatory":{json}"#)), json != "null", "{sent}");
        }
        assert!(!accepted(r#"{"type":"X"}"#, &sender).is_mandatory());
    }
}

#[test]
fn in_reply_to_is_any_string() {
    rule(&application(), "inReplyTo", &[r#""""#, r#""ä \ud800""#, "null"], &["1", "{}", r#"["a"]"#]);
}

#[test]
fn a_stamp_counts_only_from_a_relay_and_then_goes_out_unchanged() {
    let ulid = ASSIGNED.to_string();
    let good = format!(r#""{ulid}:18446744073709551615""#);
    let bad = [
        format!(r#""{ulid}:18446744073709551616""#),
        format!(r#""{ulid}:+1""#),
        format!(r#""{ulid}:-1""#),
        format!(r#""{ulid}:""#),
        format!(r#""{ulid}""#),
        format!(r#""{}:1""#, &ulid[1..]),
        r#"":1""#.to_owned(),
        "5".to_owned(),
    ];
    let bad: Vec<&str> = bad.iter().map(String::as_str).collect();
    rule(&relay(), "relayStamp", &[&good, "null"], &bad);
    let text = with("relayStamp", &good);
    let envelope = accepted(&text, &relay());
    assert_eq!(envelope.stamp().map(|stamp| (stamp.epoch, stamp.number)), Some((ASSIGNED, u64::MAX)));
    assert_eq!(json(&forwarded(&envelope, &relay()))["relayStamp"], json(&good));
    assert_eq!(json(&forwarded(&accepted(r#"{"type":"X"}"#, &relay()), &relay())).get("relayStamp"), None);

    rule(&application(), "relayStamp", &bad, &[]);
    for json_text in bad.iter().chain([&good.as_str()]) {
        let text = with("relayStamp", json_text);
        let envelope = accepted(&text, &application());
        assert_eq!(envelope.stamp(), None);
        assert_eq!(json(&forwarded(&envelope, &application()))["relayStamp"], stamp().to_string());
    }
}

#[test]
fn source_is_ignored_on_the_way_in_and_set_on_the_way_out() {
    for source in [r#""someone""#, "5", r#""not an id""#, "null", "[[]]"] {
        let text = with("sourceInstanceId", source);
        assert_eq!(json(&forwarded(&accepted(&text, &application()), &application()))["sourceInstanceId"], "app");
    }
}

#[test]
fn what_the_sender_left_out_is_filled_in() {
    let envelope = accepted(r#"{"type":"X"}"#, &application());
    assert_eq!(envelope.identity().group.as_str(), "apps");
    assert_eq!(
        forwarded(&envelope, &application()),
        format!(
            r#"{{"type":"X","messageId":"{ASSIGNED}","originInstanceId":"app","sourceInstanceId":"app","messagePath":["app","here"],"clusterGroupId":"apps","relayStamp":"{}"}}"#,
            stamp()
        )
    );
}

#[test]
fn what_the_sender_gave_goes_out_in_a_fixed_order() {
    let text = r#" { "more" : 1 , "relayStamp":"x", "inReplyTo":"r\u0065", "expiresAt":2000000000000, "mandatory" : true, "clusterGroupId":"g",
        "targetedInstances":[ "i" ], "targetedTags":[], "messagePath":["o"], "sourceInstanceId":"?",
        "originInstanceId":"o", "messageId":"m\"\\", "value": { "a" :1 }, "\u006bey":"k\u0041", "typ\u0065":"SK", "more":2,
        "code":3, "messageIds":4 } "#;
    let envelope = accepted(text, &application());
    assert_eq!(envelope.identity().to_string(), "g/m\"\\");
    assert_eq!(
        forwarded(&envelope, &application()),
        format!(
            r#"{{"type":"SK","key":"k\u0041","value":{{ "a" :1 }},"messageId":"m\"\\","originInstanceId":"o","sourceInstanceId":"app","messagePath":["o","app","here"],"targetedTags":[],"targetedInstances":[ "i" ],"clusterGroupId":"g","expiresAt":2000000000000,"mandatory":true,"inReplyTo":"r\u0065","relayStamp":"{}","more":1,"more":2,"code":3,"messageIds":4}}"#,
            stamp()
        )
    );
}

#[test]
fn the_path_grows_by_the_sender_unless_it_is_last_and_by_this_relay() {
    for (came, out) in [
        (json!([]), json!(["app", "here"])),
        (json!(["app"]), json!(["app", "here"])),
        (json!(["app", "o"]), json!(["app", "o", "app", "here"])),
    ] {
        let text = with("messagePath", &came.to_string());
        let envelope = accepted(&text, &application());
        assert_eq!(json(&forwarded(&envelope, &application()))["messagePath"], out);
        assert_eq!(json!(envelope.path().iter().map(AsRef::<str>::as_ref).collect::<Vec<_>>()), came);
    }
}

#[test]
fn a_field_of_the_table_stands_at_most_once() {
    for field in [
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
    ] {
        let escaped = format!(r"\u{:04x}{}", field.as_bytes()[0], &field[1..]);
        let base = match field {
            "type" => r#""key":"k""#,
            "key" => r#""type":"GK""#,
            _ => r#""type":"GK","key":"k""#,
        };
        let text = format!(r#"{{{base},"{field}":null,"{escaped}":null}}"#);
        assert_eq!(refused(&text, &application()).reason(), format!("{field}: expected once, got it twice"), "{text}");
    }
    let text = r#"{"type":"X","Type":1,"Type":2,"reason":3,"reason":4}"#;
    assert!(
        forwarded(&accepted(text, &application()), &application())
            .ends_with(r#","Type":1,"Type":2,"reason":3,"reason":4}"#)
    );
}

#[test]
fn what_is_not_one_json_object_is_invalid_json() {
    for text in [
        "",
        "  ",
        "null",
        "[]",
        r#""type""#,
        "{",
        "{}}",
        "{} {}",
        r#"{"type":"X",}"#,
        r#"{'type':"X"}"#,
        r#"{type:"X"}"#,
        r#"{"a":01}"#,
        r#"{"a":NaN}"#,
        r#"{"a":"\x"}"#,
        "{\"a\":\"\u{1}\"}",
        r#"{"messageId":"m","type":"X""#,
        "\u{feff}{}",
    ] {
        let refusal = refused(text, &application());
        assert_eq!(refusal.code(), Code::InvalidJson, "{text}");
        assert_eq!((refusal.message_id(), refusal.group().as_str()), (None, "apps"), "{text}");
        assert!(refusal.reason().starts_with("expected one JSON object"), "{refusal}");
    }
}

#[test]
fn a_refusal_carries_what_can_be_read_of_the_identity() {
    for (text, message_id, group) in [
        (r#"{"type":"x","messageId":"m","clusterGroupId":"g"}"#, Some("m"), "g"),
        (r#"{"type":"x"}"#, None, "apps"),
        (r#"{"messageId":5,"clusterGroupId":"a b"}"#, None, "apps"),
        (r#"{"type":"X","messageId":"m","messageId":"n"}"#, None, "apps"),
        (r#"{"type":"X","messageId":"m","clusterGroupId":"g","clusterGroupId":"h"}"#, Some("m"), "apps"),
    ] {
        let refusal = refused(text, &application());
        assert_eq!((refusal.message_id().map(AsRef::as_ref), refusal.group().as_str()), (message_id, group), "{text}");
    }
}

#[test]
fn a_fingerprint_follows_type_key_and_value_and_nothing_else() {
    let print = |text: &str| accepted(text, &application()).fingerprint();
    let base = print(r#"{"type":"SK","key":"k","value":1}"#);
    assert_eq!(base, print(r#"{"value": 1,"key":"\u006b","type":"SK","messageId":"m","x":1,"targetedTags":["t"]}"#));
    for other in [
        r#"{"type":"GK","key":"k","value":1}"#,
        r#"{"type":"SK","key":"l","value":1}"#,
        r#"{"type":"SK","key":"k","value":1.0}"#,
        r#"{"type":"SK","key":"k","value":null}"#,
    ] {
        assert_ne!(base, print(other), "{other}");
    }
    // Where the value is optional, null is its absence.
    assert_eq!(print(r#"{"type":"GK","key":"k","value":null}"#), print(r#"{"type":"GK","key":"k"}"#));
}
