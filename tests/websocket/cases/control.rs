//! Section 5.5: pings and pongs.

use crate::websocket::case::{Case, case};
use crate::websocket::frame::{CLOSE, Frame, PING, PONG, begin, close, frame, last, ping, pong, text};

/// The longest payload of a control frame.
const LONGEST: usize = 125;

pub(super) fn cases() -> Vec<Case> {
    [pings(), pongs(), broken()].concat()
}

fn pings() -> Vec<Case> {
    let longest = [0xFE; LONGEST];
    let mut cases = vec![
        case("5.5.2", "a ping", [ping("")]).pongs(""),
        case("5.5.2", "a ping with a payload", [ping("Hello, world!")]).pongs("Hello, world!"),
        case("5.5.2", "a ping of bytes that are no text", [ping([0x00, 0xFF, 0xFE, 0xFD, 0xFC, 0xFB, 0x00, 0xFF])])
            .pongs([0x00, 0xFF, 0xFE, 0xFD, 0xFC, 0xFB, 0x00, 0xFF]),
        case("5.5.2", "a ping of 125 bytes", [ping(longest)]).pongs(longest),
        case("5.5.2", "a ping of 125 bytes", [ping(longest)]).pongs(longest).in_pieces(1),
        case("5.5.2", "a ping of 5 bytes with its length in 16 bits", [ping("12345").length_in_16_bits()]).ends(1002),
        case("5.5.2", "a ping of 5 bytes with its length in 64 bits", [ping("12345").length_in_64_bits()]).ends(1002),
    ];
    let ten: Vec<Frame> = (0..10).map(|number| ping(format!("payload-{number}"))).collect();
    cases.extend(case("5.5.3", "ten pings, of which the last is answered", ten).pongs("payload-9").in_every_way());
    let mixed = [ping("1"), text("a"), ping("2"), text("b"), ping("3")];
    cases.extend(case("5.5.2", "pings between texts", mixed).echoes("a").echoes("b").pongs("3").in_every_way());
    cases
}

fn pongs() -> Vec<Case> {
    let around = [pong("unasked"), ping("asked"), pong("unasked")];
    let mut cases = vec![
        case("5.5.3", "a pong that nobody asked for", [pong("")]),
        case("5.5.3", "a pong of 125 bytes that nobody asked for", [pong([0xFF; LONGEST])]),
    ];
    cases.extend(case("5.5.3", "a ping among unasked pongs", around).pongs("asked").in_every_way());
    cases
}

fn broken() -> Vec<Case> {
    let long = [b'x'; LONGEST + 1];
    let mut cases = vec![
        case("5.5", "a ping of 126 bytes", [ping(long)]).ends(1002),
        case("5.5", "a pong of 126 bytes", [pong(long)]).ends(1002),
        case("5.5", "a close of 126 bytes", [close(1000, &long[2..])]).ends(1002),
        case("5.5", "a ping of 65,536 bytes", [ping(vec![0; 65_536])]).ends(1002),
        case("5.5", "a pong of 65,536 bytes", [pong(vec![0; 65_536])]).ends(1002),
        case("5.5", "a ping without FIN", [frame(PING, "")]).ends(1002),
        case("5.5", "a pong without FIN", [frame(PONG, "")]).ends(1002),
        case("5.5", "a close without FIN", [frame(CLOSE, [0x03, 0xE8])]).ends(1002),
    ];
    for (what, opcode) in [("ping", PING), ("pong", PONG)] {
        let halves = [frame(opcode, "one"), last("two")];
        cases.extend(case("5.5", format!("a {what} in two fragments"), halves).ends(1002).in_every_way());
        let within = [begin("a"), frame(opcode, ""), last("b")];
        cases.push(case("5.5", format!("a {what} without FIN within a text"), within).ends(1002));
    }
    cases
}
