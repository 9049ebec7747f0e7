//! Upgrade requests that are hardly any, and those that are granted.

use super::dice::Dice;
use super::frames;
use super::line::Line;

/// The largest header, and the most bytes, that an attacker puts into a request.
const GIANT: usize = 64 << 10;

/// Asks for a link with `before` ahead of the request and further headers. Some requests are fine; on their links frames
/// follow.
pub(super) async fn knock(line: &mut Line, before: &[u8], headers: &str, dice: &mut Dice) {
    if dice.once_in(2) {
        let request = [before, &request(&who(dice), headers)].concat();
        if line.say_somehow(&request, dice).await && line.is_granted().await {
            frames::assault(line, dice).await;
        }
        return;
    }
    let request = [before, &spoilt(headers, dice)].concat();
    line.say_somehow(&request, dice).await;
    if dice.once_in(2) {
        line.hear(GIANT).await;
    }
}

/// A request that can be granted.
pub(super) fn request(target: &str, headers: &str) -> Vec<u8> {
    format!(
        "GET {target} HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
    .into_bytes()
}

/// The target of a peer that may link: mostly one of a few, so that links are taken over again and again, sometimes one
/// that was never here or that has no name.
pub(super) fn who(dice: &mut Dice) -> String {
    let tags = dice.one(&["", "&tags=t1", "&tags=t1,t2", "&tags=t3&ackBatch=1", "&tags=t2&maxMessageBytes=100"]);
    match dice.below(8) {
        0 => format!("/?{}", tags.trim_start_matches('&')),
        1 => format!("/?id=new-{}x{tags}", dice.word(30)),
        _ => format!("/?id=app-{}{tags}", dice.below(60)),
    }
}

/// A request that is broken, refused, or both.
fn spoilt(headers: &str, dice: &mut Dice) -> Vec<u8> {
    let whole = request(&who(dice), headers);
    let with = |line: String| request("/?id=app-1", &format!("{headers}{line}\r\n"));
    match dice.below(16) {
        0 => dice.bytes(GIANT),
        1 | 2 => dice.cut(whole),
        3 | 4 => dice.spoil(whole),
        5 => with(format!("X-Long: {}", dice.word(GIANT))),
        6 => with((0..dice.below(300)).map(|number| format!("X-{number}: x\r\n")).collect::<String>() + "X: x"),
        7 => {
            with(format!("Slipstream-Tags: {}", (0..dice.below(100)).map(|tag| format!("{tag},")).collect::<String>()))
        }
        8 => with(format!("Slipstream-Id: {}\r\nSlipstream-Id: {}", dice.word(300), dice.word(10))),
        9 => with(format!("Content-Length: {}\r\n\r\n{}", dice.length(1 << 40), dice.word(2_000))),
        10 => with(format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{}", dice.length(1 << 40), dice.word(2_000))),
        11 => with(format!("Sec-WebSocket-Protocol: {}, slipstream.v9", dice.word(3_000))),
        12 => with(format!("Slipstream-Kind: {}", dice.one(&["relay", "RELAY", "application", ""]))),
        13 => request(&strange(dice), headers),
        14 => dice
            .one(&["OPTIONS * HTTP/1.1\r\n\r\n", "GET / HTTP/1.0\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
            .into(),
        // One after the other, without waiting for an answer.
        _ => request("/nowhere", headers).repeat(1 + dice.below(50)),
    }
}

/// A target that says something strange.
fn strange(dice: &mut Dice) -> String {
    match dice.below(8) {
        0 => format!("/?id={}", dice.word(GIANT)),
        1 => format!("/?id=a&id={}", dice.word(20)),
        2 => format!("/?tags={}", "t,".repeat(dice.below(200))),
        3 => format!("/?maxMessageBytes={}", dice.one(&["0", "-1", "1", "18446744073709551616", "1e3", ""])),
        4 => format!("/?{}", "%00%ff%".repeat(dice.below(100))),
        5 => format!("/{}", dice.word(2_000)),
        6 => format!("/?clusterGroupId={}&ackBatch={}", dice.word(300), dice.word(3)),
        _ => format!("http://{}/?id=a", dice.word(100)),
    }
}
