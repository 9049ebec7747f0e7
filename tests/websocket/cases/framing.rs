//! Sections 5.1 to 5.3: lengths, reserved bits, opcodes, masks.

use crate::websocket::case::{Case, case};
use crate::websocket::frame::{FIN, Frame, begin, binary, close, frame, last, ping, pong, text};

pub(super) fn cases() -> Vec<Case> {
    [lengths(), other_lengths(), reserved_bits(), opcodes(), masks()].concat()
}

fn lengths() -> Vec<Case> {
    let mut cases = Vec::new();
    for length in [0, 1, 125, 126, 127, 128, 65_535, 65_536] {
        let payload = "*".repeat(length);
        let whole = case("5.2", format!("a text of {length} bytes"), [text(&payload)]).echoes(&payload);
        cases.push(whole.clone());
        cases.push(whole.in_pieces(if length < 1000 { 1 } else { 997 }));
        let binary = case("5.6", format!("a binary message of {length} bytes"), [binary(&payload)]);
        cases.push(binary.echoes_binary(&payload));
    }
    cases
}

/// Lengths that are not minimal, and lengths that cannot be.
fn other_lengths() -> Vec<Case> {
    let mut cases = Vec::new();
    for length in [0, 5, 125] {
        let payload = "*".repeat(length);
        let name = format!("a text of {length} bytes with its length in 16 bits");
        cases.push(case("5.2", name, [text(&payload).length_in_16_bits()]).echoes(&payload));
    }
    for length in [0, 5, 126, 65_535] {
        let payload = "*".repeat(length);
        let name = format!("a text of {length} bytes with its length in 64 bits");
        cases.push(case("5.2", name, [text(&payload).length_in_64_bits()]).echoes(&payload));
    }
    for (what, length) in [("the highest bit alone", 1 << 63), ("all bits", u64::MAX)] {
        let name = format!("a length of 64 bits with {what} set");
        cases.push(case("5.2", name, [text("").says(length)]).ends(1009));
    }
    cases
}

fn reserved_bits() -> Vec<Case> {
    let frames = [
        ("a text", text("x")),
        ("an empty text", text("")),
        ("a first fragment", begin("x")),
        ("a binary message", binary("x")),
        ("a ping", ping("x")),
        ("a pong", pong("x")),
        ("a close", close(1000, "")),
    ];
    let mut cases = Vec::new();
    for (what, frame) in frames {
        for bits in 1..8 {
            let name = format!("{what} with reserved bits {bits:03b}");
            cases.push(case("5.2", name, [frame.clone().reserved(bits)]).ends(1002));
        }
    }
    cases.push(case("5.2", "a last fragment with a reserved bit", [begin("x"), last("y").reserved(4)]).ends(1002));
    // What permessage-deflate would send for "Hello" (RFC 7692, section 7.2.3.1). Nobody here agreed to it.
    let deflated = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00];
    cases.push(
        case("9.1", "a compressed text, though compression was declined", [text(deflated).reserved(4)]).ends(1002),
    );
    let between = [text("before"), text("x").reserved(2), ping("after")];
    cases.extend(
        case("5.2", "a reserved bit between a text and a ping", between).echoes("before").ends(1002).in_every_way(),
    );
    cases
}

fn opcodes() -> Vec<Case> {
    let mut cases = Vec::new();
    for opcode in (0x3..0x8).chain(0xB..0x10) {
        let named = |what: &str| format!("opcode {opcode:X}{what}");
        let alone = case("5.2", named(""), [frame(FIN | opcode, "")]).ends(1002);
        let full = case("5.2", named(" with a payload"), [frame(FIN | opcode, "reserved")]).ends(1002);
        let open = case("5.2", named(" without FIN"), [frame(opcode, "x")]).ends(1002);
        let within = case("5.2", named(" within a text"), [begin("x"), frame(FIN | opcode, ""), last("y")]).ends(1002);
        let between = [text("before"), frame(FIN | opcode, "reserved"), ping("")];
        let between = case("5.2", named(" between a text and a ping"), between).echoes("before").ends(1002);
        cases.extend([alone, full.clone(), full.in_pieces(1), open, within]);
        cases.extend(between.in_every_way());
    }
    cases
}

fn masks() -> Vec<Case> {
    let frames = [
        ("a text", text("{}")),
        ("an empty text", text("")),
        ("a long text", text("*".repeat(70_000))),
        ("a first fragment", begin("x")),
        ("a ping", ping("")),
        ("a pong", pong("x")),
    ];
    let wrong = |(what, frame): (&str, Frame)| {
        case("5.1", format!("{what} masked by a server or not by a client"), [frame.masked_wrongly()]).ends(1002)
    };
    let mut cases: Vec<Case> = frames.into_iter().map(wrong).collect();
    let second = [begin("x"), last("y").masked_wrongly()];
    cases.push(case("5.1", "a last fragment masked by a server or not by a client", second).ends(1002));
    cases.push(case("5.3", "a mask of zeros", [text("*".repeat(300)).masked_with_zeros()]).echoes("*".repeat(300)));
    cases
}
