//! Frames that break RFC 6455 or a limit: the link ends with the right code, and nobody else notices.

#![cfg(test)]

mod support;

use support::{BINARY, CLOSE, CONTINUE, FIN, PING, PONG, Pair, Peer, Relay, TEXT, frame};

/// What a message begins with that is valid so far, and that nobody gets.
const TO_NOBODY: &str = r#""type":"EVENT","targetedTags":["nobody"]"#;

/// The header of a masked frame that declares a length and brings nothing.
fn declares(first: u8, length: u64) -> Vec<u8> {
    [&[first, 0x80 | 127][..], &length.to_be_bytes(), &[1, 2, 3, 4]].concat()
}

#[tokio::test]
async fn a_broken_frame_closes_its_link_with_the_right_code() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let mut pair = Pair::start(&relay).await;
    let text = FIN | TEXT;
    let limit = 983_040;
    let cases: Vec<(&str, Vec<u8>, &[u16])> = vec![
        ("a length just over the limit", declares(text, limit as u64 + 1), &[1009]),
        ("a terabyte", declares(text, 1 << 40), &[1009]),
        ("the largest length", declares(text, (1 << 63) - 1), &[1009]),
        ("a length with its highest bit set", declares(text, u64::MAX), &[1002, 1009]),
        ("a message just over the limit", frame(text, &vec![b' '; limit + 1]), &[1009]),
        (
            "fragments just over the limit",
            [frame(TEXT, &vec![b' '; limit]), frame(FIN | CONTINUE, b" ")].concat(),
            &[1009],
        ),
        ("an unmasked text", [&[text, 2][..], b"{}"].concat(), &[1002]),
        ("an unmasked ping", vec![FIN | PING, 0], &[1002]),
        ("bad UTF-8", frame(text, b"{\"type\":\"\xff\"}"), &[1007]),
        ("a surrogate in UTF-8", frame(text, b"\xed\xa0\x80"), &[1007]),
        ("an overlong form", frame(text, b"\xc0\xaf"), &[1007]),
        ("a character that is cut off", frame(text, b"\xf0\x9f\x98"), &[1007]),
        ("bad UTF-8 in fragments", [frame(TEXT, b"\xf0\x9f"), frame(FIN | CONTINUE, b"x")].concat(), &[1007]),
        ("binary", frame(FIN | BINARY, b"{}"), &[1003]),
        ("binary in fragments", frame(BINARY, b"{"), &[1003]),
        ("a reserved opcode for data", frame(FIN | 0x3, b""), &[1002]),
        ("a reserved opcode for control", frame(FIN | 0xB, b""), &[1002]),
        ("a reserved bit", frame(text | 0x10, b"{}"), &[1002]),
        ("a long ping", frame(FIN | PING, &[0; 126]), &[1002]),
        ("a long pong", frame(FIN | PONG, &[0; 126]), &[1002]),
        ("a long close", frame(FIN | CLOSE, &[3; 126]), &[1002]),
        ("a ping in fragments", frame(PING, b"a"), &[1002]),
        ("a continuation of nothing", frame(FIN | CONTINUE, b"{}"), &[1002]),
        ("a text within a text", [frame(TEXT, b"{"), frame(text, b"{}")].concat(), &[1002]),
        ("a close of one byte", frame(FIN | CLOSE, b"\x03"), &[1002]),
        ("a close with a code that must not be sent", frame(FIN | CLOSE, &1005u16.to_be_bytes()), &[1002]),
        ("a close with bad UTF-8", frame(FIN | CLOSE, b"\x03\xe8\xff"), &[1002, 1007]),
        ("a close", frame(FIN | CLOSE, &1000u16.to_be_bytes()), &[1000]),
        ("a close without a mask", [&[FIN | CLOSE, 2][..], &1001u16.to_be_bytes()].concat(), &[1001]),
        (
            "a close without a mask that must not be sent",
            [&[FIN | CLOSE, 2][..], &1005u16.to_be_bytes()].concat(),
            &[1002],
        ),
        ("a close without a code", frame(FIN | CLOSE, b""), &[1000, 1005]),
    ];
    for (what, bytes, codes) in cases {
        let mut peer = Peer::connect(&relay, "id=hostile").await;
        // Where the relay has closed before everything was written, the write may fail.
        let _ = peer.link.writer.raw(&bytes).await;
        let (code, reason) = peer.closed().await;
        assert!(codes.contains(&code), "{what}: closed with {code} {reason:?}, expected {codes:?}");
        pair.goes_on().await;
    }
    let said = relay.process.stderr();
    assert!(said.contains("closed by the peer with 1001"), "a close without a mask is an end: {said}");
    relay.assert_small("after broken frames");
}

#[tokio::test]
async fn a_message_of_exactly_the_limit_is_taken_whole_and_in_fragments() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--max-message-bytes", "64KiB"]).await;
    let mut receiver = Peer::connect(&relay, "id=receiver").await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let sized = |id: &str| {
        let text = |value: &str| format!(r#"{{"type":"EVENT","messageId":"{id}","value":"{value}"}}"#);
        text(&"é".repeat((64 * 1024 - text("").len()) / 2))
    };
    let whole = sized("whole1");
    assert_eq!(whole.len(), 64 * 1024);
    sender.publish(&whole).await;
    let parts = sized("parts1");
    // Each byte in a frame of its own would be over the limit on fragments; ends of characters are cut all the same.
    let mut chunks = parts.as_bytes().chunks(1001).enumerate().peekable();
    while let Some((index, chunk)) = chunks.next() {
        let opcode = if index == 0 { TEXT } else { CONTINUE };
        sender.link.writer.frame(if chunks.peek().is_none() { FIN | opcode } else { opcode }, chunk);
    }
    sender.link.writer.flush().await.expect("the link is up");
    assert_eq!(sender.answer().await["messageId"], "parts1");
    assert_eq!(receiver.take_ids(2).await, ["whole1", "parts1"]);
}

#[tokio::test]
async fn fragments_without_end_are_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let mut pair = Pair::start(&relay).await;
    for size in [64 * 1024, 1, 0] {
        let mut peer = Peer::connect(&relay, "id=hostile").await;
        let fragments = frame(CONTINUE, &vec![b' '; size]).repeat(if size == 0 { 1024 } else { 8 });
        let _ = peer.link.writer.raw(&frame(TEXT, b"{")).await;
        // Only the relay can end this: a write fails when it has.
        let writing = async { while peer.link.writer.raw(&fragments).await.is_ok() {} };
        support::within("the end of endless fragments", writing).await;
        pair.goes_on().await;
    }
    let errors = |reason: &str| format!(r#"slipstream_connection_errors_total{{reason="{reason}"}}"#);
    relay.metric_becomes_at_least(&errors("too_many_fragments"), 1.0).await;
    relay.metric_becomes_at_least(&errors("too_large"), 1.0).await;
    relay.assert_small("after endless fragments");
}

#[tokio::test]
async fn json_that_is_meant_to_hurt_is_answered_and_the_link_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--max-message-bytes", "1MiB"]).await;
    let mut pair = Pair::start(&relay).await;
    let mut peer = Peer::connect(&relay, "id=hostile").await;
    let deep = 500_000;
    let nested = format!(r#"{{{TO_NOBODY},"value":{}{}}}"#, "[".repeat(deep), "]".repeat(deep));
    let objects = format!(r#"{{{TO_NOBODY},"x":{}1{}}}"#, r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    let fields: String = (0..80_000).map(|number| format!(r#","{number}":1"#)).collect();
    let alike = r#","a":1"#.repeat(150_000);
    let cases = [
        ("brackets that open", "[".repeat(1 << 20)),
        ("braces that open", r#"{"a":"#.repeat(200_000)),
        ("a value of brackets", nested),
        ("a field of objects", objects),
        ("many fields", format!(r#"{{{TO_NOBODY}{fields}}}"#)),
        ("many fields of one name", format!(r#"{{{TO_NOBODY}{alike}}}"#)),
        ("a long number", format!(r#"{{{TO_NOBODY},"expiresAt":{}}}"#, "9".repeat(1_000_000))),
        ("many tags", format!(r#"{{"type":"EVENT","targetedTags":[{}"a"]}}"#, r#""a","#.repeat(200_000))),
        ("a long type", format!(r#"{{"type":"{}"}}"#, "A".repeat(1_000_000))),
        ("many ids to acknowledge", format!(r#"{{"type":"ACK","messageIds":[{}"a"]}}"#, r#""a","#.repeat(200_000))),
        ("escapes", format!(r#"{{{TO_NOBODY},"{}":1}}"#, r"\u0061".repeat(170_000))),
        ("a name with a zero", format!(r#"{{{TO_NOBODY},"\u0000":1}}"#)),
        ("half of a surrogate pair", format!(r#"{{{TO_NOBODY},"inReplyTo":"\ud800"}}"#)),
    ];
    for (what, text) in cases {
        assert!(text.len() <= 1 << 20, "{what} is {} bytes", text.len());
        peer.send(&text).await;
        // The answer to what was sent, if it has one, and to the fence: the link is still there.
        peer.send(r#"{"type":"EVENT","messageId":"fence","targetedTags":["nobody"]}"#).await;
        loop {
            let answer = peer.answer().await;
            if answer["messageId"] == "fence" {
                break;
            }
            let reason = answer["reason"].as_str().unwrap_or_default();
            assert!(reason.len() < 1024, "{what}: the reason has {} bytes", reason.len());
        }
        pair.goes_on().await;
    }
    relay.assert_small("after hostile JSON");
}
