//! Upgrade requests, as values: what they say of a peer, and what is refused.

use hyper::http::request;
use hyper::{Request, StatusCode};
use proptest::prelude::*;
use slipstream_store::{PeerKind, Tag};

use crate::link::{Hello, Refusal, accept};

fn request(target: &str, headers: &[(&str, &str)]) -> request::Parts {
    let build = Request::get(target);
    let build = headers.iter().fold(build, |build, (name, value)| build.header(*name, *value));
    build.body(()).expect("a request").into_parts().0
}

fn read(target: &str, headers: &[(&str, &str)]) -> Result<Hello, Refusal> {
    Hello::read(&request(target, headers))
}

fn tags(hello: &Hello) -> Vec<&str> {
    hello.tags.iter().map(Tag::as_str).collect()
}

#[test]
fn who_says_nothing_is_an_anonymous_application() {
    let hello = read("/", &[]).expect("valid");
    assert_eq!((hello.id, hello.kind, hello.group.as_str()), (None, PeerKind::Application, "singleton"));
    assert!(hello.tags.is_empty() && !hello.accepts_ack_batch && hello.token.is_none());
    assert_eq!(hello.max_message_bytes, None);
}

#[test]
fn headers_and_query_say_the_same() {
    let by_header = read(
        "/",
        &[("Slipstream-Id", "app:1"), ("Slipstream-Tags", "aws, production"), ("Slipstream-Cluster-Group", "g-1")],
    );
    let by_query = read("/?clusterGroupId=g-1&id=app%3A1&tags=aws%2Cproduction&other=%FF", &[]);
    let (by_header, by_query) = (by_header.expect("valid"), by_query.expect("valid"));
    assert_eq!(by_header, by_query);
    assert_eq!(by_header.id.as_ref().map(|id| id.as_str()), Some("app:1"));
    assert_eq!(tags(&by_header), ["aws", "production"]);
    assert_eq!(by_header.group.as_str(), "g-1");
}

#[test]
fn the_query_wins_over_the_headers() {
    let headers = [("Slipstream-Id", "header"), ("Slipstream-Tags", "h"), ("Slipstream-Cluster-Group", "h")];
    let hello = read("/?id=query&tags=q&clusterGroupId=q", &headers).expect("valid");
    assert_eq!(hello.id.as_ref().map(|id| id.as_str()), Some("query"));
    assert_eq!((tags(&hello), hello.group.as_str()), (vec!["q"], "q"));
    assert!(read("/?tags=", &headers).expect("valid").tags.is_empty());
    assert!(read("/?id=", &headers).is_err(), "an empty id is bad, also where a header has a good one");
}

#[test]
fn the_rest_stands_in_headers() {
    let headers = [
        ("Slipstream-Kind", "relay"),
        ("Slipstream-Accept", "other, ack-batch"),
        ("Slipstream-Max-Message-Bytes", "1048576"),
        ("Authorization", "bearer s3cret"),
    ];
    let hello = read("/", &headers).expect("valid");
    assert_eq!((hello.kind, hello.accepts_ack_batch), (PeerKind::Relay, true));
    assert_eq!(hello.max_message_bytes, Some(1_048_576));
    assert_eq!(hello.token.as_ref().map(|token| token.expose()), Some("s3cret"));
    assert!(!format!("{hello:?}").contains("s3cret"), "secrets are never printed");
    assert!(read("/", &[("Authorization", "Basic abc")]).expect("valid").token.is_none());
}

#[test]
fn what_browsers_cannot_say_in_headers_stands_in_the_query() {
    let headers = [("Slipstream-Accept", "ack-batch"), ("Slipstream-Max-Message-Bytes", "7")];
    let terms = |target: &str, headers: &[(&str, &str)]| {
        let hello = read(target, headers).expect("valid");
        (hello.accepts_ack_batch, hello.max_message_bytes)
    };
    assert_eq!(terms("/?ackBatch=1&maxMessageBytes=65536", &[]), (true, Some(65_536)));
    assert_eq!(terms("/?ackBatch=0&maxMessageBytes=65536", &headers), (false, Some(65_536)), "the query wins");
    assert_eq!(terms("/?other=1", &headers), (true, Some(7)));
    let by_subprotocol = [("Sec-WebSocket-Protocol", "slipstream.v1, slipstream.bearer.s3cret")];
    let hello = read("/", &by_subprotocol).expect("valid");
    assert_eq!(hello.token.as_ref().map(|token| token.expose()), Some("s3cret"));
    assert!(!format!("{hello:?}").contains("s3cret"), "secrets are never printed");
    let both = [by_subprotocol[0], ("Authorization", "Bearer other")];
    assert_eq!(read("/", &both).expect("valid").token.as_ref().map(|token| token.expose()), Some("other"));
}

#[test]
fn what_breaks_a_rule_is_refused_with_400_and_says_which() {
    let list = |count: usize| vec!["t"; count].join(",");
    assert_eq!(read(&format!("/?tags={}", list(64)), &[]).expect("valid").tags.len(), 64);
    let long = |len: usize| "x".repeat(len);
    assert!(read(&format!("/?id={}", long(128)), &[]).is_ok());
    type Case = (String, Vec<(&'static str, &'static str)>, &'static str);
    let cases: Vec<Case> = vec![
        ("/?id=".into(), vec![], "id:"),
        ("/".into(), vec![("Slipstream-Id", "")], "id:"),
        ("/?id=a%20b".into(), vec![], "400: id: expected 1 to 128 of A-Z a-z 0-9 . _ : -, got \"a b\""),
        ("/?id=a+b".into(), vec![], "id:"),
        ("/?id=%C3%A4".into(), vec![], "id:"),
        ("/?id=%0A".into(), vec![], "id:"),
        (format!("/?id={}", long(129)), vec![], "id:"),
        ("/?id=a&id=b".into(), vec![], "id: given twice"),
        ("/".into(), vec![("Slipstream-Id", "a"), ("Slipstream-Id", "b")], "given twice"),
        (
            "/?clusterGroupId=".into(),
            vec![],
            "400: clusterGroupId: expected 1 to 128 of A-Z a-z 0-9 . _ : -, got an empty",
        ),
        (format!("/?tags={}", list(65)), vec![], "at most 64, got 65"),
        ("/?tags=a,,b".into(), vec![], "400: tags: expected 1 to 64 of A-Z a-z 0-9 . _ : -, got an empty text"),
        ("/?tags=a,".into(), vec![], "tags:"),
        (format!("/?tags={}", long(65)), vec![], "tags:"),
        ("/".into(), vec![("Slipstream-Kind", "application")], "slipstream-kind:"),
        ("/".into(), vec![("Slipstream-Max-Message-Bytes", "0")], "slipstream-max-message-bytes:"),
        ("/".into(), vec![("Slipstream-Max-Message-Bytes", "1MiB")], "slipstream-max-message-bytes:"),
        ("/?ackBatch=yes".into(), vec![], "ackBatch: expected 1 or 0, got \"yes\""),
        ("/?ackBatch=".into(), vec![], "ackBatch:"),
        ("/?ackBatch=1&ackBatch=1".into(), vec![], "ackBatch: given twice"),
        ("/?maxMessageBytes=0".into(), vec![], "maxMessageBytes: expected a number of bytes, got \"0\""),
        ("/?maxMessageBytes=1MiB".into(), vec![("Slipstream-Max-Message-Bytes", "1")], "maxMessageBytes:"),
        ("/?maxMessageBytes=-1".into(), vec![], "maxMessageBytes:"),
        ("/?maxMessageBytes=1&maxMessageBytes=2".into(), vec![], "maxMessageBytes: given twice"),
    ];
    for (target, headers, part) in cases {
        let refusal = read(&target, &headers).expect_err(&target);
        assert_eq!(refusal.status(), StatusCode::BAD_REQUEST, "{target}");
        assert!(refusal.to_string().contains(part), "{target}: {refusal}");
        assert!(!refusal.reason().contains(char::is_control), "{target}: one line");
    }
}

const GOOD: [(&str, &str); 4] = [
    ("Upgrade", "WebSocket"),
    ("Connection", "keep-alive, Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

#[test]
fn only_a_whole_upgrade_request_is_accepted() {
    assert!(accept(&request("/", &GOOD)).is_ok());
    let without =
        |left_out: &str| -> Vec<(&str, &str)> { GOOD.into_iter().filter(|(name, _)| *name != left_out).collect() };
    let with = |name: &'static str, value: &'static str| [without(name), vec![(name, value)]].concat();
    for (headers, status) in [
        (without("Upgrade"), 426),
        (without("Connection"), 426),
        (with("Upgrade", "h2c"), 426),
        (without("Sec-WebSocket-Version"), 426),
        (with("Sec-WebSocket-Version", "8"), 426),
        (without("Sec-WebSocket-Key"), 400),
        (with("Sec-WebSocket-Key", "c2hvcnQ="), 400),
        (with("Content-Length", "5"), 400),
        (with("Transfer-Encoding", "chunked"), 400),
        (with("Sec-WebSocket-Protocol", "mqtt"), 400),
    ] {
        let refusal = accept(&request("/", &headers)).expect_err("not a whole upgrade request");
        assert_eq!(refusal.status().as_u16(), status, "{headers:?}");
    }
    let mut post = request("/", &GOOD);
    post.method = hyper::Method::POST;
    assert_eq!(accept(&post).expect_err("a POST").status().as_u16(), 405);
}

#[test]
fn a_reason_is_one_line() {
    assert_eq!(Refusal::unavailable("two\r\nlines").reason(), "two  lines");
}

#[test]
fn a_reason_is_cut_between_characters_where_it_repeats_too_much() {
    let most = Refusal::MAX_REASON;
    assert_eq!(Refusal::bad_request("x".repeat(most)).reason().len(), most);
    for long in ["x".repeat(most + 1), "ä".repeat(most), format!("x{}", "ä".repeat(most))] {
        let refusal = Refusal::bad_request(long);
        let reason = refusal.reason();
        assert!((most - 3..=most).contains(&reason.len()) && reason.ends_with('…'), "{} bytes", reason.len());
    }
    let refusal = read(&format!("/?ackBatch={}", "%01".repeat(2_000)), &[]).expect_err("neither 1 nor 0");
    assert!(refusal.reason().starts_with("ackBatch: expected 1 or 0") && refusal.reason().len() <= most);
}

proptest! {
    #[test]
    fn no_query_and_no_header_makes_the_reader_panic(query in "[ -~&&[^#\"<>`{} ]]{0,60}", id in "[ -~]{0,20}") {
        if let Ok(request) = Request::get(format!("/?{query}")).header("Slipstream-Id", id).body(()) {
            let _ = Hello::read(&request.into_parts().0);
        }
    }
}
