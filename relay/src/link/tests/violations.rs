//! Every rule that a peer can break, and the close code that it gets.

use super::*;

/// Sends these bytes, expects this close, and sees that nothing of it was taken as a message.
async fn refused(role: Role, bytes: &[u8], code: u16, label: &str) {
    let mut peer = start(role, limits());
    peer.raw(bytes).await;
    let reason = peer.expect_close(code).await;
    assert!(!reason.is_empty(), "the reason says what was wrong");
    assert!(peer.texts().is_empty(), "{bytes:?}");
    let ended = peer.ended().await;
    assert!(matches!(ended, Ended::Violation { code: got, .. } if got.0 == code), "{bytes:?}: {ended}");
    assert_eq!(ended.error(), Some(label), "{ended}");
}

#[tokio::test]
async fn binary_messages_are_refused_with_1003() {
    refused(Role::Server, &frame(FIN | BINARY, b"{}", true), 1003, "binary").await;
    refused(Role::Server, &frame(BINARY, b"{", true), 1003, "binary").await;
}

#[tokio::test]
async fn text_that_is_not_utf8_is_refused_with_1007() {
    refused(Role::Server, &frame(FIN | TEXT, b"\xC3\x28", true), 1007, "invalid_utf8").await;
    let halves = [frame(TEXT, b"\xC3", true), frame(FIN | CONTINUATION, b"\x28", true)].concat();
    refused(Role::Server, &halves, 1007, "invalid_utf8").await;
    let close = frame(FIN | CLOSE, b"\x03\xE8\xFF", true);
    refused(Role::Server, &close, 1007, "invalid_utf8").await;
}

#[tokio::test]
async fn what_is_too_large_is_refused_with_1009() {
    refused(Role::Server, &frame(FIN | TEXT, &[b'x'; 1001], true), 1009, "too_large").await;
    let halves = [frame(TEXT, &[b'x'; 600], true), frame(FIN | CONTINUATION, &[b'x'; 401], true)].concat();
    refused(Role::Server, &halves, 1009, "too_large").await;
    let many = [&frame(TEXT, b"x", true)[..], &frame(CONTINUATION, b"", true).repeat(4)].concat();
    refused(Role::Server, &many, 1009, "too_many_fragments").await;
}

#[tokio::test]
async fn a_length_is_refused_before_its_bytes_come() {
    for length in [1001_u64, 1 << 40, u64::MAX] {
        let head = [&[FIN | TEXT, 0x80 | 127][..], &length.to_be_bytes(), &[0; 4]].concat();
        refused(Role::Server, &head, 1009, "too_large").await;
    }
}

#[tokio::test]
async fn breaches_of_the_frame_format_are_refused_with_1002() {
    let breaches: [(&str, Vec<u8>); 14] = [
        ("unmasked text", frame(FIN | TEXT, b"{}", false)),
        ("unmasked ping", frame(FIN | PING, b"", false)),
        ("unmasked close that must not be sent", frame(FIN | CLOSE, &close_payload(1005, ""), false)),
        ("unmasked half of a close code", frame(FIN | CLOSE, &[3], false)),
        ("reserved bit", frame(FIN | 0x40 | TEXT, b"{}", true)),
        ("reserved opcode", frame(FIN | 0x3, b"", true)),
        ("reserved control opcode", frame(FIN | 0xB, b"", true)),
        ("fragmented ping", frame(PING, b"", true)),
        ("long ping", frame(FIN | PING, &[0; 126], true)),
        ("long pong", frame(FIN | PONG, &[0; 126], true)),
        ("long close", frame(FIN | CLOSE, &close_payload(1000, &"x".repeat(124)), true)),
        ("half a close code", frame(FIN | CLOSE, &[3], true)),
        ("continuation of nothing", frame(FIN | CONTINUATION, b"x", true)),
        ("text within a message", [frame(TEXT, b"x", true), frame(FIN | TEXT, b"y", true)].concat()),
    ];
    for (breach, bytes) in breaches {
        eprintln!("{breach}");
        refused(Role::Server, &bytes, 1002, "protocol").await;
    }
}

#[tokio::test]
async fn close_codes_that_must_not_be_sent_are_refused_with_1002() {
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, u16::MAX] {
        eprintln!("{code}");
        refused(Role::Server, &frame(FIN | CLOSE, &close_payload(code, ""), true), 1002, "protocol").await;
    }
}

#[tokio::test]
async fn a_client_refuses_masked_frames() {
    refused(Role::Client, &frame(FIN | TEXT, b"{}", true), 1002, "protocol").await;
    let mut peer = start(Role::Client, limits());
    peer.send(FIN | TEXT, b"fine").await;
    peer.round_trip().await;
    assert_eq!(peer.texts(), ["fine"]);
}

#[tokio::test]
async fn what_was_right_before_the_breach_is_taken() {
    let mut peer = start(Role::Server, limits());
    let bytes = [frame(FIN | TEXT, b"one", true), frame(FIN | BINARY, b"two", true), frame(FIN | TEXT, b"three", true)];
    peer.raw(&bytes.concat()).await;
    peer.expect_close(1003).await;
    assert_eq!(peer.texts(), ["one"]);
}

#[tokio::test]
async fn after_a_breach_the_link_reads_on_until_the_peer_ends() {
    let mut peer = start(Role::Server, limits());
    peer.send(FIN | BINARY, b"").await;
    // Many times what the stream holds: it only gets through where somebody reads.
    for _ in 0..64 {
        peer.raw(&[0xFF; 16 << 10]).await;
    }
    peer.expect_close(1003).await;
    assert!(!peer.running.is_finished(), "the stream stays until the peer has seen the Close");
    let ended = peer.ended().await;
    assert_eq!(ended.error(), Some("binary"));
}
