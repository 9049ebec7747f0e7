//! Sections 5.5.1 and 7: the closing handshake and its codes.

use crate::websocket::case::{Case, case};
use crate::websocket::frame::{CLOSE, FIN, begin, close, frame, last, ping, text};

pub(super) fn cases() -> Vec<Case> {
    [handshakes(), payloads(), codes()].concat()
}

fn handshakes() -> Vec<Case> {
    let cases = [
        case("5.5.1", "a text and then a close", [text("Hello"), close(1000, "")]).echoes("Hello").ends(1000),
        case("5.5.1", "two closes", [close(1000, ""), close(1001, "")]).ends(1000),
        case("5.5.1", "a ping after a close", [close(1000, ""), ping("")]).ends(1000),
        case("5.5.1", "a text after a close", [close(1000, ""), text("late")]).ends(1000),
        case("5.5.1", "a fragment after a close", [begin("one"), close(1000, ""), last("two")]).ends(1000),
        case("5.5.1", "a broken frame after a close", [close(1000, ""), text("x").reserved(7)]).ends(1000),
    ];
    let mut cases: Vec<Case> = cases.into_iter().flat_map(Case::in_every_way).collect();
    let large = "*".repeat(256 << 10);
    let late = [text(&large), text("Hello"), close(1000, ""), ping("")];
    cases
        .push(case("5.5.1", "a large text, a text, a close and a ping", late).echoes(large).echoes("Hello").ends(1000));
    cases
}

fn payloads() -> Vec<Case> {
    vec![
        case("5.5.1", "a close without a code", [frame(FIN | CLOSE, "")]).ends_without_code(),
        case("5.5.1", "a close of one byte", [frame(FIN | CLOSE, "a")]).ends(1002),
        case("5.5.1", "a close with a code", [close(1000, "")]).ends(1000),
        case("5.5.1", "a close with a code", [close(1000, "")]).ends(1000).in_pieces(1),
        case("5.5.1", "a close with a reason", [close(1000, "Hello, wörld!")]).ends(1000),
        case("5.5.1", "a close with a reason of 123 bytes", [close(1000, "*".repeat(123))]).ends(1000),
        case("8.1", "a close with a reason that is not UTF-8", [close(1000, b"\xCE\xBA\xF4\x90\x80\x80")]).ends(1007),
        case("8.1", "a close with a reason that ends within a character", [close(1000, b"\xE2\x82")]).ends(1007),
        case("5.1", "a close masked by a server or not by a client", [close(1001, "").masked_wrongly()]).ends(1002),
    ]
}

fn codes() -> Vec<Case> {
    let valid = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999];
    let valid = valid.map(|code| case("7.4", format!("code {code}"), [close(code, "")]).ends(code));
    // Not to be sent, not given to anybody, or beyond the ranges.
    let invalid = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 32_768, u16::MAX];
    let invalid = invalid.map(|code| case("7.4", format!("code {code}"), [close(code, "")]).ends(1002));
    let empty_reason = [close(999, "reason"), ping("")];
    let with_reason = case("7.4", "code 999 with a reason, and a ping", empty_reason).ends(1002);
    valid.into_iter().chain(invalid).chain([with_reason]).collect()
}
