//! Large messages, many fragments, many messages. RFC 6455 names no limits; section 10.4 wants some.

use crate::websocket::case::{Case, MAX_MESSAGE, case};
use crate::websocket::frame::{FIN, Frame, TEXT, begin, binary, last, more, text};

pub(super) fn cases() -> Vec<Case> {
    [large(), in_fragments(), in_pieces(), many()].concat()
}

fn large() -> Vec<Case> {
    let mut cases = Vec::new();
    for kibibytes in [64, 256, 1024, 4096, 16_384] {
        let payload = "*".repeat(kibibytes << 10);
        cases.push(case("5.2", format!("a text of {kibibytes} KiB"), [text(&payload)]).echoes(&payload));
    }
    let over = "*".repeat(MAX_MESSAGE + 1);
    cases.push(case("10.4", "a text just over the limit of 16 MiB", [text(&over)]).echoes(&over).ends(1009));
    let halves = [begin(&over[1..]), last("*")];
    cases.push(case("10.4", "fragments just over the limit of 16 MiB", halves).echoes(&over).ends(1009));
    let binary = case("5.6", "a binary message of 1024 KiB", [binary(vec![0xFE; 1 << 20])]);
    cases.push(binary.echoes_binary(vec![0xFE; 1 << 20]));
    cases
}

/// A text of so many bytes in fragments of a size.
fn fragmented(payload: &str, size: usize) -> Vec<Frame> {
    let mut frames: Vec<Frame> = payload.as_bytes().chunks(size).map(more).collect();
    frames[0].first |= TEXT;
    frames.last_mut().expect("there is one").first |= FIN;
    frames
}

fn in_fragments() -> Vec<Case> {
    let payload = "*".repeat(4 << 20);
    let of = |size: usize| {
        case("5.4", format!("a text of 4 MiB in fragments of {size} bytes"), fragmented(&payload, size))
            .echoes(&payload)
    };
    let mut cases: Vec<Case> = (4..=10).map(|exponent| of(1 << (2 * exponent))).collect();
    cases.push(of(64));
    let short = "*".repeat(65_536);
    cases.push(case("5.4", "a text of 64 KiB in fragments of 1300 bytes", fragmented(&short, 1300)).echoes(short));
    cases
}

fn in_pieces() -> Vec<Case> {
    let payload = "*".repeat(1 << 20);
    let whole = case("5.2", "a text of 1 MiB", [text(&payload)]).echoes(&payload);
    [128, 256, 512, 1024, 2048].map(|size| whole.clone().in_pieces(size)).to_vec()
}

fn many() -> Vec<Case> {
    let of = |size: usize| {
        let payload = "*".repeat(size);
        let named = case("5.6", format!("a thousand texts of {size} bytes"), vec![text(&payload); 1000]);
        (0..1000).fold(named, |case, _| case.echoes(&payload))
    };
    [0, 16, 64, 256, 1024, 4096, 16_384].map(of).to_vec()
}
