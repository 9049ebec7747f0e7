//! Section 8.1: UTF-8 at every border. The sequences are those of Markus Kuhn's stress test for decoders.

use crate::websocket::case::{Case, case};
use crate::websocket::frame::{CONTINUATION, FIN, Frame, TEXT, begin, frame, last, more, ping, text};

/// The Greek word kosme, in characters of two and three bytes.
const KOSME: &[u8] = b"\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5";

const VALID: &[&[u8]] = &[
    b"hello$world",
    b"hello\xC2\xA2world",
    b"hello\xE2\x82\xACworld",
    b"hello\xF0\xA4\xAD\xA2world",
    // The first and the last of each length.
    b"\x00",
    b"\x7F",
    b"\xC2\x80",
    b"\xDF\xBF",
    b"\xE0\xA0\x80",
    b"\xEF\xBF\xBF",
    b"\xF0\x90\x80\x80",
    b"\xF4\x8F\xBF\xBF",
    // Around the surrogates.
    b"\xED\x9F\xBF",
    b"\xEE\x80\x80",
    // Special ones: annotations, replacements, the byte order mark, and what is no character.
    b"\xEF\xBF\xB9\xEF\xBF\xBA\xEF\xBF\xBB\xEF\xBF\xBC\xEF\xBF\xBD",
    b"\xEF\xBB\xBF",
    b"\xEF\xBF\xBE",
    b"\xEF\xB7\x90",
    b"\xF0\x9F\xBF\xBE\xF0\x9F\xBF\xBF\xF0\xAF\xBF\xBE\xF0\xBF\xBF\xBF",
    b"\xF1\x8F\xBF\xBE\xF1\x9F\xBF\xBF\xF1\xAF\xBF\xBE\xF1\xBF\xBF\xBF",
    b"\xF2\x8F\xBF\xBE\xF3\x9F\xBF\xBF\xF3\xBF\xBF\xBE\xF4\x8F\xBF\xBE",
];

const INVALID: &[&[u8]] = &[
    // Beyond U+10FFFF, and forms of five and six bytes.
    b"\xF4\x90\x80\x80",
    b"\xF5\x80\x80\x80",
    b"\xF7\xBF\xBF\xBF",
    b"\xF8\x88\x80\x80\x80",
    b"\xFB\xBF\xBF\xBF\xBF",
    b"\xFC\x84\x80\x80\x80\x80",
    b"\xFD\xBF\xBF\xBF\xBF\xBF",
    // Continuation bytes that continue nothing.
    b"\x80",
    b"\xBF",
    b"\x80\xBF",
    b"\x80\xBF\x80",
    b"\x80\xBF\x80\xBF\x80\xBF",
    // First bytes with nothing that continues them.
    b"\xC0 \xC1 \xC2 \xDF ",
    b"\xE0 \xE1 \xED \xEF ",
    b"\xF0 \xF1 \xF4 \xF7 ",
    b"\xF8 \xFB ",
    b"\xFC \xFD ",
    // The last byte is missing.
    b"\xC0",
    b"\xC2",
    b"\xDF",
    b"\xE0\x80",
    b"\xE0\xA0",
    b"\xEF\xBF",
    b"\xF0\x80\x80",
    b"\xF0\x90\x80",
    b"\xF4\x8F\xBF",
    b"\xF7\xBF\xBF",
    b"\xF8\x80\x80\x80",
    b"\xFD\xBF\xBF\xBF\xBF",
    b"\xC2\xE0\xA0\xF0\x90\x80\xDF\xEF\xBF\xF4\x8F\xBF",
    // Bytes that never stand in UTF-8.
    b"\xFE",
    b"\xFF",
    b"\xFE\xFE\xFF\xFF",
    // Longer forms than need be: of a slash, of the last of each length, of zero.
    b"\xC0\xAF",
    b"\xE0\x80\xAF",
    b"\xF0\x80\x80\xAF",
    b"\xF8\x80\x80\x80\xAF",
    b"\xFC\x80\x80\x80\x80\xAF",
    b"\xC1\xBF",
    b"\xE0\x9F\xBF",
    b"\xF0\x8F\xBF\xBF",
    b"\xC0\x80",
    b"\xE0\x80\x80",
    b"\xF0\x80\x80\x80",
    // Surrogates, alone and in pairs.
    b"\xED\xA0\x80",
    b"\xED\xAD\xBF",
    b"\xED\xAE\x80",
    b"\xED\xAF\xBF",
    b"\xED\xB0\x80",
    b"\xED\xBE\x80",
    b"\xED\xBF\xBF",
    b"\xED\xA0\x80\xED\xB0\x80",
    b"\xED\xAD\xBF\xED\xBF\xBF",
    b"\xED\xAF\xBF\xED\xBF\xBF",
];

pub(super) fn cases() -> Vec<Case> {
    [valid(), invalid(), prefixes(), unfinished()].concat()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// A text of one byte a fragment.
fn single(payload: &[u8]) -> Vec<Frame> {
    let (end, rest) = payload.split_last().expect("it has a byte");
    let rest = rest.iter().enumerate();
    let rest = rest.map(|(index, byte)| frame(if index == 0 { TEXT } else { CONTINUATION }, [*byte]));
    rest.chain([frame(if payload.len() == 1 { FIN | TEXT } else { FIN | CONTINUATION }, [*end])]).collect()
}

fn valid() -> Vec<Case> {
    let of = |payload: &&[u8]| {
        let name = format!("valid {}", hex(payload));
        let fragments = case("8.1", format!("{name} in fragments of a byte"), single(payload)).echoes(payload);
        let whole = case("8.1", name, [text(payload)]).echoes(payload);
        [whole.clone(), whole.in_pieces(1), fragments]
    };
    VALID.iter().chain([&KOSME]).flat_map(of).collect()
}

fn invalid() -> Vec<Case> {
    let of = |payload: &&[u8]| {
        let name = format!("invalid {}", hex(payload));
        let whole = case("8.1", &name, [text(payload)]).ends(1007);
        let within = [b"hello", *payload, b"world"].concat();
        let within = case("8.1", format!("{name} within a text"), [text(within)]).ends(1007);
        let fragments = case("8.1", format!("{name} in fragments of a byte"), single(payload)).ends(1007);
        [whole, within, fragments]
    };
    INVALID.iter().flat_map(of).collect()
}

/// Each beginning of a text, and each place where it can be cut in two.
fn prefixes() -> Vec<Case> {
    let of = |end: usize| {
        let (start, rest) = KOSME.split_at(end);
        let halves = [begin(start), last(rest)];
        let halves = case("8.1", format!("kosme cut after {end} bytes"), halves).echoes(KOSME);
        let part = case("8.1", format!("the first {end} bytes of kosme"), [text(start)]);
        let is_whole = std::str::from_utf8(start).is_ok();
        [halves, if is_whole { part.echoes(start) } else { part.ends(1007) }]
    };
    (1..KOSME.len()).flat_map(of).collect()
}

/// Where a text is already wrong, though it is not whole. An end may notice at once or at the end of the text.
fn unfinished() -> Vec<Case> {
    let bad: &[u8] = b"\xF4\x90\x80\x80";
    let whole = [text([KOSME, bad, b"edited"].concat())];
    let parts = [begin(KOSME), more(bad), last("edited")];
    vec![
        case("8.1", "a fragment is invalid and the text goes on", [begin(KOSME), more(bad), ping("")]).pongs(""),
        case("8.1", "a first fragment is invalid and the text goes on", [begin(bad), ping("")]).pongs(""),
        case("8.1", "a fragment is invalid in the middle", parts).ends(1007),
        case("8.1", "a text is invalid in the middle", whole.clone()).ends(1007),
        case("8.1", "a text is invalid in the middle", whole).ends(1007).in_pieces(1),
        case("8.1", "a fragment ends within a character and nothing follows", [begin(b"\xF0\x9F"), last("")])
            .ends(1007),
        case("8.1", "a character is cut by an invalid byte in the next fragment", [begin(b"\xF0\x9F"), last("x")])
            .ends(1007),
    ]
}
