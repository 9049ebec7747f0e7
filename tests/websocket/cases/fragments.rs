//! Section 5.4: fragments, and control frames among them.

use crate::websocket::case::{Case, case};
use crate::websocket::frame::{BINARY, Frame, begin, binary, close, frame, last, more, ping, pong, text};

pub(super) fn cases() -> Vec<Case> {
    [whole(), interleaved(), out_of_place()].concat()
}

fn whole() -> Vec<Case> {
    let five = [begin("fragment1"), more("fragment2"), more("fragment3"), more("fragment4"), last("fragment5")];
    let cases = [
        case("5.4", "a text in two fragments", [begin("one"), last("two")]).echoes("onetwo"),
        case("5.4", "a text in five fragments", five).echoes("fragment1fragment2fragment3fragment4fragment5"),
        case("5.4", "three empty fragments", [begin(""), more(""), last("")]).echoes(""),
        case("5.4", "empty fragments around a full one", [begin(""), more("full"), last("")]).echoes("full"),
        case("5.4", "two texts in fragments", [begin("a"), last("b"), begin("c"), last("d")]).echoes("ab").echoes("cd"),
        case("5.4", "a text after one in fragments", [begin("a"), last("b"), text("c")]).echoes("ab").echoes("c"),
    ];
    let mut cases: Vec<Case> = cases.into_iter().flat_map(Case::in_every_way).collect();
    let single = (0..1000).map(|index| if index == 0 { begin("*") } else { more("*") });
    let single: Vec<Frame> = single.chain([last("")]).collect();
    cases.push(case("5.4", "a thousand fragments of one byte", single).echoes("*".repeat(1000)));
    let binary = [frame(BINARY, "one"), last("two")];
    cases.push(case("5.6", "a binary message in two fragments", binary).echoes_binary("onetwo"));
    cases
}

fn interleaved() -> Vec<Case> {
    let pings = [
        begin("fragment1"),
        more("fragment2"),
        ping("pongme 1!"),
        more("fragment3"),
        more("fragment4"),
        ping("pongme 2!"),
        last("fragment5"),
    ];
    let cases = [
        case("5.4", "a ping between two fragments", [begin("one"), ping("ping"), last("two")])
            .echoes("onetwo")
            .pongs("ping"),
        case("5.4", "a pong between two fragments", [begin("one"), pong("pong"), last("two")]).echoes("onetwo"),
        case("5.4", "two pings among five fragments", pings)
            .echoes("fragment1fragment2fragment3fragment4fragment5")
            .pongs("pongme 2!"),
        case("5.4", "a ping is answered before the text is whole", [begin("one"), ping("now")]).pongs("now"),
        case("5.4", "a ping within a character", [begin(b"\xF0\x9F"), ping("ping"), last(b"\x98\x80")])
            .echoes("😀")
            .pongs("ping"),
    ];
    let mut cases: Vec<Case> = cases.into_iter().flat_map(Case::in_every_way).collect();
    let closed = [begin("one"), close(1000, ""), last("two")];
    cases.extend(case("5.4", "a close between two fragments", closed).ends(1000).in_every_way());
    cases
}

fn out_of_place() -> Vec<Case> {
    let two = |frame: Frame| [frame.clone(), begin("a"), last("b"), frame, begin("c"), last("d")];
    let cases = [
        case("5.4", "a last fragment of nothing", [last("nothing"), text("x")]).ends(1002),
        case("5.4", "a fragment of nothing", [more("nothing"), text("x")]).ends(1002),
        case("5.4", "an empty last fragment of nothing", [last("")]).ends(1002),
        case("5.4", "a fragment of nothing after a text in fragments", [begin("a"), last("b"), more("c"), text("d")])
            .echoes("ab")
            .ends(1002),
        case("5.4", "fragments of nothing before texts in fragments", two(more("x"))).ends(1002),
        case("5.4", "last fragments of nothing before texts in fragments", two(last("x"))).ends(1002),
        case("5.4", "a text within a text in fragments", [begin("a"), text("b")]).ends(1002),
        case("5.4", "two first fragments", [begin("a"), begin("b"), last("c")]).ends(1002),
    ];
    let mut cases: Vec<Case> = cases.into_iter().flat_map(Case::in_every_way).collect();
    let binary = [begin("a"), binary("b")];
    cases.push(case("5.4", "a binary message within a text in fragments", binary).ends(1002));
    cases
}
