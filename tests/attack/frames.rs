//! What comes over a link that was granted.

use super::dice::Dice;
use super::limits::MESSAGE_BYTES;
use super::line::Line;
use crate::support::{BINARY, CLOSE, CONTINUE, FIN, PING, PONG, TEXT, frame};

/// About how many bytes one burst has at most.
const BURST: usize = 256 << 10;

/// How often one burst comes if it comes until the relay makes the attacker wait. It does so far earlier.
const FOR_EVER: usize = 128;

/// Sends a few bursts, some of them until the relay makes it wait, and reads or does not read what comes back.
pub(super) async fn assault(line: &mut Line, dice: &mut Dice) {
    for _ in 0..=dice.below(5) {
        let burst = if dice.once_in(5) { endless(line, dice).await } else { burst(dice) };
        if !line.say_somehow(&burst, dice).await {
            return;
        }
        let more = if dice.once_in(4) { FOR_EVER } else { 0 };
        for _ in 0..more {
            if !line.say(&burst).await {
                return;
            }
        }
        if dice.once_in(3) {
            line.hear(BURST).await;
        }
    }
}

/// Begins a text, and returns fragments of it that do not end it, with control frames in between.
async fn endless(line: &mut Line, dice: &mut Dice) -> Vec<u8> {
    line.say(&frame(if dice.once_in(8) { BINARY } else { TEXT }, b"{")).await;
    let each = dice.one(&[&100, &(MESSAGE_BYTES / 4), &(MESSAGE_BYTES - 1)]);
    let mut bytes = Vec::new();
    while bytes.len() < BURST {
        bytes.extend(frame(CONTINUE, &vec![b' '; *each]));
        if dice.once_in(4) {
            bytes.extend(frame(FIN | PING, b"?"));
        }
    }
    bytes
}

fn burst(dice: &mut Dice) -> Vec<u8> {
    match dice.below(16) {
        0 => dice.bytes(BURST),
        1 => strange_frame(dice),
        2 => [&[FIN | TEXT, 0x80 | 127][..], &declared(dice), &[1, 2, 3, 4], &dice.bytes(2_000)].concat(),
        3 => control_frames(dice),
        4 => frame(FIN | TEXT, &not_utf8(dice)),
        5 => [frame(TEXT, &not_utf8(dice)), frame(CONTINUE, b""), frame(FIN | CONTINUE, &not_utf8(dice))].concat(),
        6..=9 => often(&frame(FIN | TEXT, refused(dice).as_bytes()), dice),
        10 => frame(FIN | TEXT, deep(dice).as_bytes()),
        11 => flood(dice, "SK"),
        12 => flood(dice, "EVENT"),
        13 => often(&frame(FIN | TEXT, answer(dice).as_bytes()), dice),
        14 => {
            let value = "v".repeat(dice.length(2 * MESSAGE_BYTES));
            frame(FIN | TEXT, format!(r#"{TO_NOBODY},"value":"{value}"}}"#).as_bytes())
        }
        _ => {
            let goodbye = frame(FIN | CLOSE, &dice.bytes(130));
            [goodbye, flood(dice, "EVENT")].concat()
        }
    }
}

/// The same again and again.
fn often(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    bytes.repeat(1 + dice.length(BURST / bytes.len().max(1)))
}

/// A frame of any kind, masked or not.
fn strange_frame(dice: &mut Dice) -> Vec<u8> {
    let (first, payload) = (dice.below(256), dice.bytes(300));
    let mut bytes = frame(u8::try_from(first).expect("a byte"), &payload);
    if dice.once_in(3) {
        bytes[1] ^= 0x80;
    }
    bytes
}

/// A length that is declared, and of which little follows.
fn declared(dice: &mut Dice) -> [u8; 8] {
    let shift = dice.below(64);
    (u64::MAX >> shift).to_be_bytes()
}

fn control_frames(dice: &mut Dice) -> Vec<u8> {
    let first = dice.one(&[&(FIN | PING), &(FIN | PONG), &PING, &(FIN | 0xB)]);
    let payload = dice.bytes(140);
    often(&frame(*first, &payload), dice)
}

fn not_utf8(dice: &mut Dice) -> Vec<u8> {
    let bad: &[u8] = dice.one(&[b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\x80"]);
    [b"{\"type\":\"", &dice.word(200).into_bytes()[..], bad].concat()
}

/// JSON within JSON.
fn deep(dice: &mut Dice) -> String {
    let levels = dice.length(MESSAGE_BYTES / 2);
    let open = if dice.once_in(2) { "[" } else { "{\"a\":" };
    format!(r#"{TO_NOBODY},"value":{}"#, open.repeat(levels / open.len()))
}

/// What a message begins with that nobody gets, should it be taken after all: it is the relay that is attacked, not its
/// peers.
const TO_NOBODY: &str = r#"{"targetedTags":["nobody"],"type":"EVENT""#;

/// What gets a NACK, or is no JSON.
fn refused(dice: &mut Dice) -> String {
    let word = dice.word(400);
    match dice.below(9) {
        0 => String::new(),
        1 => word,
        2 => "[]".to_owned(),
        3 => format!(r#"{{"targetedTags":["nobody"],"type":"{word}"}}"#),
        4 => format!(r#"{TO_NOBODY},"messageId":"{word}"}}"#),
        5 => format!(r#"{{"type":"EVENT","messageId":"m","targetedTags":["{word}",7]}}"#),
        6 => format!(r#"{TO_NOBODY},"expiresAt":"{word}"}}"#),
        7 => format!(r#"{TO_NOBODY},"type":"CMD","value":"{word}"}}"#),
        _ => format!(r#"{TO_NOBODY},"messageId":"same","value":{}}}"#, dice.below(1_000)),
    }
}

/// Acknowledgements of nothing, and refusals of nothing.
fn answer(dice: &mut Dice) -> String {
    let word = dice.word(150);
    match dice.below(3) {
        0 => format!(r#"{{"type":"ACK","messageId":"{word}"}}"#),
        1 => format!(r#"{{"type":"ACK","messageIds":["{}"]}}"#, [&*word; 50].join("\",\"")),
        _ => format!(r#"{{"type":"NACK","messageId":"{word}","code":"{}","reason":"{word}"}}"#, dice.word(20)),
    }
}

/// Messages that are taken: to nobody, or to other attackers.
fn flood(dice: &mut Dice, kind: &str) -> Vec<u8> {
    let tag = dice.one(&["nobody", "t1", "t2", "t3"]);
    let (count, start) = (dice.length(2_000), dice.below(1 << 40));
    let value = dice.word(BURST / (count + 1) / 2);
    let messages = (0..count).flat_map(|number| {
        let id = if kind == "SK" { number } else { start + number };
        let text = format!(
            r#"{{"type":"{kind}","key":"k{number}","messageId":"m{id}","targetedTags":["{tag}"],"value":"{value}"}}"#
        );
        frame(FIN | TEXT, text.as_bytes())
    });
    messages.collect()
}
