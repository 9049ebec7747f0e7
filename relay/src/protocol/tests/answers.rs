//! ACK and NACK, both ways.

use serde_json::json;
use slipstream_store::{Identity, MessageId};

use super::{application, group, id, json, refused};
use crate::protocol::{
    Ack, Code, DEFAULT_MAX_DEPTH, Incoming, Nack, Rejection, decode, ids_within, write_ack, write_ack_batch, write_nack,
};

fn read(text: &str) -> Result<Incoming<'_>, Rejection> {
    decode(text, &application(), DEFAULT_MAX_DEPTH, || panic!("an answer gets no id"))
}

fn ack(text: &str) -> Ack {
    match read(text) {
        Ok(Incoming::Ack(ack)) => ack,
        other => panic!("{text}: {other:?}"),
    }
}

fn nack(text: &str) -> Nack {
    match read(text) {
        Ok(Incoming::Nack(nack)) => nack,
        other => panic!("{text}: {other:?}"),
    }
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

fn message_id(text: &str) -> MessageId {
    MessageId::new(text).unwrap()
}

#[test]
fn an_ack_needs_only_type_and_ids() {
    for (text, ids, group) in [
        (r#"{"type":"ACK","messageId":"m"}"#, &["m"][..], None),
        (r#"{"messageId":"m\"","clusterGroupId":"g","\u0074ype":"A\u0043K"}"#, &["m\""], Some("g")),
        (r#"{"type":"ACK","messageIds":["a","b"],"clusterGroupId":"g","messageId":null}"#, &["a", "b"], Some("g")),
        (r#"{"type":"ACK","messageIds":["a"],"messageId":"b"}"#, &["a", "b"], None),
        (r#"{"type":"ACK","messageIds":[]}"#, &[], None),
        // Nothing else of it is looked at.
        (r#"{"type":"ACK","messageId":"m","key":5,"messagePath":7,"targetedTags":[1]}"#, &["m"], None),
    ] {
        let ack = ack(text);
        assert_eq!(ack.ids().iter().map(MessageId::as_str).collect::<Vec<_>>(), ids, "{text}");
        assert_eq!(ack.group().map(AsRef::as_ref), group, "{text}");
    }
}

#[test]
fn an_answer_that_cannot_be_read_is_not_answered() {
    for text in [
        r#"{"type":"ACK"}"#,
        r#"{"type":"ACK","messageId":null}"#,
        r#"{"type":"ACK","messageId":5}"#,
        r#"{"type":"ACK","messageId":"a b"}"#,
        r#"{"type":"ACK","messageIds":"a"}"#,
        r#"{"type":"ACK","messageIds":["a",""]}"#,
        r#"{"type":"ACK","messageId":"m","clusterGroupId":"a b"}"#,
        r#"{"type":"ACK","messageId":"m","messageId":"m"}"#,
        r#"{"type":"ACK","messageId":"m","type":"SK"}"#,
        r#"{"type":"NACK"}"#,
        r#"{"type":"NACK","messageId":null}"#,
        r#"{"type":"NACK","messageId":"m","clusterGroupId":1}"#,
    ] {
        let refusal = read(text).expect_err(text);
        assert!(!refusal.is_answered(), "{text}");
    }
}

#[test]
fn a_nack_keeps_its_code_where_it_is_known_and_a_short_reason() {
    let long = "ö".repeat(2_000);
    let long_text = format!(r#"{{"type":"NACK","messageId":"m","reason":"{long}"}}"#);
    for (text, code, reason) in [
        (r#"{"type":"NACK","messageId":"m","code":"rate_limited","reason":"slow"}"#, Some(Code::RateLimited), "slow"),
        (r#"{"type":"NACK","messageId":"m","code":"other","reason":""}"#, None, "other"),
        (r#"{"type":"NACK","messageId":"m","code":5,"reason":[]}"#, None, "no reason given"),
        (r#"{"type":"NACK","messageId":"m","reason":"\ud800"}"#, None, "no reason given"),
        (&long_text, None, &long[..Nack::MAX_REASON]),
    ] {
        let nack = nack(text);
        assert_eq!((nack.id.as_str(), nack.code, nack.reason.as_str()), ("m", code, reason), "{text:.100}");
    }
    let text = r#"{"type":"NACK","messageId":"m","clusterGroupId":"g"}"#;
    assert_eq!(nack(text).group, Some(group("g")));
}

#[test]
fn codes_are_written_and_read_alike_and_three_say_later() {
    for code in Code::ALL {
        assert_eq!(Code::named(code.as_str()), Some(code));
    }
    let later: Vec<&str> = Code::ALL.into_iter().filter(|code| code.retry_later()).map(Code::as_str).collect();
    assert_eq!(later, ["backlog_full", "rate_limited", "storage_unavailable"]);
}

#[test]
fn an_ack_is_written_as_the_protocol_shows_it() {
    let identity = Identity { group: group("cluster-1"), id: message_id("msg-abc123") };
    assert_eq!(
        written(|out| write_ack(out, &id("relay-aws"), &identity, usize::MAX)),
        r#"{"type":"ACK","messageId":"msg-abc123","originInstanceId":"relay-aws","sourceInstanceId":"relay-aws","messagePath":["relay-aws"],"clusterGroupId":"cluster-1"}"#
    );
}

#[test]
fn what_is_written_is_read_back_whatever_the_id_holds() {
    let ids = [message_id(r#"a"b"#), message_id(r"\"), message_id(r#"\"\\u0041"#), message_id("plain")];
    for id_of_it in &ids {
        let identity = Identity { group: group("g"), id: id_of_it.clone() };
        let text = written(|out| write_ack(out, &id("r"), &identity, usize::MAX));
        assert_eq!(ack(&text).ids(), std::slice::from_ref(id_of_it));
        let refusal = Rejection::of(Code::BacklogFull, "a \"b\" \\ \n \u{1} ö", &identity);
        let nack = nack(&written(|out| write_nack(out, &id("r"), &refusal, usize::MAX))).clone();
        assert_eq!((&nack.id, nack.reason.as_str()), (id_of_it, refusal.reason()));
        assert_eq!((nack.code, nack.group), (Some(Code::BacklogFull), Some(group("g"))));
    }
    let batch = ack(&written(|out| write_ack_batch(out, &id("r"), &group("g"), &ids)));
    assert_eq!((batch.ids(), batch.group()), (&ids[..], Some(&group("g"))));
}

#[test]
fn a_nack_is_written_as_the_protocol_shows_it() {
    let text = r#"{"type":"SA","key":"k","value":1,"messageId":"msg-abc123","clusterGroupId":"cluster-1"}"#;
    let refusal = refused(text, &application());
    assert_eq!(
        written(|out| write_nack(out, &id("relay-aws"), &refusal, usize::MAX)),
        r#"{"type":"NACK","messageId":"msg-abc123","code":"invalid_message","reason":"value: SA wants an array, got a number","originInstanceId":"relay-aws","clusterGroupId":"cluster-1"}"#
    );
    let nameless = written(|out| write_nack(out, &id("r"), &refused("[]", &application()), usize::MAX));
    assert_eq!(json(&nameless)["messageId"], json!(null));
    assert_eq!(json(&nameless)["code"], "invalid_json");
}

#[test]
fn an_answer_keeps_to_what_the_peer_takes() {
    let hard = message_id(&"\"".repeat(128));
    let identity = Identity { group: group(&"g".repeat(128)), id: hard.clone() };
    let relay = id(&"r".repeat(128));
    let whole = written(|out| write_ack(out, &relay, &identity, usize::MAX));
    assert_eq!(written(|out| write_ack(out, &relay, &identity, whole.len())), whole);
    let short = written(|out| write_ack(out, &relay, &identity, whole.len() - 1));
    assert!(short.len() < whole.len() / 2, "{short}");
    assert_eq!((ack(&short).ids(), ack(&short).group()), (&[hard.clone()][..], Some(&identity.group)));

    for most in [0, 300, 700, 1_024, 4_096, 65_536] {
        let ids = vec![hard.clone(); ids_within(&relay, most)];
        let batch = written(|out| write_ack_batch(out, &relay, &identity.group, &ids));
        assert!(ids.is_empty() || batch.len() <= most, "{} of {most}", batch.len());
        let one_more = vec![hard.clone(); ids.len() + 1];
        assert!(written(|out| write_ack_batch(out, &relay, &identity.group, &one_more)).len() > most, "{most}");
    }
}

#[test]
fn the_reason_of_a_nack_is_cut_to_what_the_peer_takes() {
    let identity = Identity { group: group("g"), id: message_id("m") };
    let refusal = Rejection::of(Code::StorageUnavailable, "ö \"\n".repeat(100), &identity);
    let whole = written(|out| write_nack(out, &id("r"), &refusal, usize::MAX));
    let bare = written(|out| write_nack(out, &id("r"), &Rejection::of(refusal.code(), "", &identity), usize::MAX));
    for most in bare.len()..=whole.len() {
        let text = written(|out| write_nack(out, &id("r"), &refusal, most));
        assert!(text.len() <= most && most - text.len() < 6, "{} of {most}", text.len());
        let reason = json(&text)["reason"].as_str().unwrap().to_owned();
        assert!(refusal.reason().starts_with(&reason), "{reason}");
    }
    let least = written(|out| write_nack(out, &id("r"), &refusal, bare.len() - 1));
    assert_eq!(
        least,
        r#"{"type":"NACK","messageId":"m","code":"storage_unavailable","reason":"","clusterGroupId":"g"}"#
    );
}
