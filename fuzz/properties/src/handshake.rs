//! An upgrade request, and the frames right behind it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};
use slipstream::link::{Hello, LinkLimits, Offer, Role, offer};
use slipstream_store::PeerKind;

use crate::frames::{answers, expected, limits};
use crate::head;
use crate::link::{Admitted, Once, alone, serving};
use crate::scripted::{Pieces, Scripted, Then};
use crate::told::{assert_no_secret, assert_short};

/// The parser of HTTP takes a longer head only if it comes at once.
const MOST_REQUEST: usize = 8_000;

/// Longest text of a refusal.
const MOST_TOLD: usize = 512;

/// Longest token that is asked for a link once more with all the rest.
const MOST_TOKEN: usize = 2_000;

/// Most tags of a peer.
const MOST_TAGS: usize = 64;

/// Serves a connection: the first byte says how its bytes come in pieces, the rest are the bytes.
///
/// - The answer, who is admitted, and what comes of its link are the same however the bytes come in pieces.
/// - A 101 fits the key of the request, and behind it the link is as in [`frames`](crate::frames()).
/// - A refusal is one short line. It repeats no token.
/// - A peer that asks for a link as what was read of it is read as the same.
pub fn handshake(input: &[u8]) {
    let Some((&pieces, script)) = input.split_first() else { return };
    if script.len() > MOST_REQUEST {
        return;
    }
    let limits = limits(300);
    let (admitted, answer) = served(script, Pieces::WHOLE, &limits);
    let (admitted_in_pieces, answer_in_pieces) = served(script, Pieces(pieces), &limits);
    assert_eq!(admitted_in_pieces, admitted);
    match (admitted, head::split(script)) {
        (Some(admitted), Some((request, rest))) => {
            let expected = expected(rest, Role::Server, &limits);
            assert_eq!(admitted.outcome.as_ref(), Some(&expected.outcome));
            let (head, written) = split(&answer);
            let (head_in_pieces, written_in_pieces) = split(&answer_in_pieces);
            assert_eq!(head_in_pieces, head);
            granted(request, head, &admitted.hello);
            // Of several Pings the newest is answered, so it is not the same.
            [written, written_in_pieces].iter().for_each(|written| answers(written, &expected));
        }
        (Some(admitted), None) => assert_eq!(Some(admitted), None, "half a request is granted"),
        (None, _) => {
            // What is no HTTP is told when half of it is there, when all is or not at all, as hyper pleases.
            let are_of_hyper = [&answer, &answer_in_pieces].iter().all(|answer| !is_of_the_relay(answer));
            assert!(are_of_hyper || answer_in_pieces == answer, "another answer to pieces of a request");
            refused(script, &answer);
        }
    }
}

/// Whether the relay itself has refused, and not the parser of HTTP.
fn is_of_the_relay(answer: &[u8]) -> bool {
    split(answer).0.contains("\r\ncontent-type: text/plain")
}

/// Who was admitted, and what was written, but for the date.
fn served(script: &[u8], pieces: Pieces, limits: &LinkLimits) -> (Option<Admitted>, Vec<u8>) {
    let (stream, left) = Scripted::new(script, pieces, Then::EndIfGranted);
    let (admitted, ()) = alone(serving(Once::new(stream), limits.clone(), left.dropped()));
    let written = left.written();
    let lines = written.split_inclusive(|byte| *byte == b'\n');
    (admitted, lines.filter(|line| !line.starts_with(b"date: ")).flatten().copied().collect())
}

/// The head of an answer, and what comes behind it.
fn split(answer: &[u8]) -> (&str, &[u8]) {
    let (head, rest) = head::split(answer).unwrap_or((answer, &[]));
    let head = std::str::from_utf8(head);
    assert!(head.is_ok(), "the head of an answer is no text");
    (head.unwrap_or_default(), rest)
}

/// The values of a header, as they stand in the bytes of a request.
fn values<'a>(script: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let lines = script.lines().filter_map(|line| line.split_once(':'));
    lines.filter(move |(each, _)| each.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn granted(request: &[u8], head: &str, hello: &Hello) {
    assert!(head.starts_with("HTTP/1.1 101 ") && head.ends_with("\r\n\r\n"), "{head:?}");
    // The request is text: hyper has seen to that for all that is looked at here.
    let text = String::from_utf8_lossy(request);
    let key = values(&text, "sec-websocket-key").next().unwrap_or_default();
    let accept = STANDARD.encode(Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")));
    assert!(head.contains(&format!("\r\nSec-WebSocket-Accept: {accept}\r\n")), "{head:?} for the key {key:?}");
    let protocols: Vec<_> = values(head, "sec-websocket-protocol").collect();
    assert!(protocols.is_empty() || protocols == ["slipstream.v1"], "{protocols:?}");

    assert!(hello.tags.len() <= MOST_TAGS);
    let token = hello.token.as_ref().map(|token| token.expose());
    assert_no_secret(&format!("{hello:?} {head}"), token, &without_tokens(&text));
    if token.is_none_or(|token| !token.is_empty() && token.len() <= MOST_TOKEN) {
        assert_eq!(asked_again(hello).as_ref(), Some(hello));
    }
}

/// What a request says without the lines in which a token may stand.
fn without_tokens(text: &str) -> String {
    let is_other = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default();
        !name.eq_ignore_ascii_case("authorization") && !name.eq_ignore_ascii_case("sec-websocket-protocol")
    };
    text.lines().filter(is_other).collect()
}

/// How a peer is read that says of itself what this one does.
fn asked_again(hello: &Hello) -> Option<Hello> {
    let asked = Offer {
        id: hello.id.clone(),
        tags: hello.tags.to_vec(),
        group: Some(hello.group.clone()),
        as_relay: hello.kind == PeerKind::Relay,
        ack_batch: hello.accepts_ack_batch,
        max_message_bytes: hello.max_message_bytes,
        token: hello.token.clone(),
    };
    let (near, far) = tokio::io::duplex(64 << 10);
    let (admitted, granted) = alone(serving(Once::new(far), limits(300), async {
        offer(Box::new(near), "host", "/", &asked).await.map(drop)
    }));
    assert!(granted.is_ok(), "a peer as it was read is refused: {granted:?} for {hello:?}");
    admitted.map(|admitted| admitted.hello)
}

fn refused(script: &[u8], answer: &[u8]) {
    if answer.is_empty() {
        return;
    }
    let (head, body) = split(answer);
    assert!(head.starts_with("HTTP/1.1 4") || head.starts_with("HTTP/1.0 4"), "{head:?}");
    let body = std::str::from_utf8(body);
    assert!(body.is_ok(), "a refusal is no text");
    let told = body.unwrap_or_default();
    assert_short(told.strip_suffix('\n').unwrap_or(told), MOST_TOLD);
    let text = String::from_utf8_lossy(script);
    let credentials = values(&text, "authorization").filter_map(|value| Some(value.split_once(' ')?.1.trim()));
    let offered = values(&text, "sec-websocket-protocol").flat_map(|list| list.split(','));
    let offered = offered.filter_map(|name| name.trim().strip_prefix("slipstream.bearer."));
    assert_no_secret(&format!("{head}{told}"), credentials.chain(offered), &without_tokens(&text));
}
