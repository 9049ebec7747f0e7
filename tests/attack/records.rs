//! TLS that goes wrong: what is no record, and handshakes that stop.

use tokio_rustls::rustls::ClientConnection;

use super::dice::Dice;
use super::line::Line;
use super::requests::{request, who};

/// The most that a server sends before it is the client's turn again.
const FLIGHT: usize = 16 << 10;

/// Begins a handshake, or something like one, and does not end it.
pub(super) async fn break_off(line: &mut Line, mut tls: ClientConnection, dice: &mut Dice) {
    let hello = flight(&mut tls);
    match dice.below(10) {
        0 => {}
        1 | 2 => {
            let begun = dice.cut(hello);
            line.say_somehow(&begun, dice).await;
        }
        3 | 4 => {
            let hello = dice.spoil(hello);
            line.say(&hello).await;
            line.hear(FLIGHT).await;
        }
        5 => {
            let garbage = garbage(dice);
            line.say_somehow(&garbage, dice).await;
        }
        6 => {
            line.say(&request(&who(dice), "")).await;
            line.hear(FLIGHT).await;
        }
        _ => halfway(line, tls, &hello, dice).await,
    }
}

/// Everything but the end: the server has answered, and waits for the client's certificate.
async fn halfway(line: &mut Line, mut tls: ClientConnection, hello: &[u8], dice: &mut Dice) {
    if !line.say(hello).await || dice.once_in(3) {
        return;
    }
    let heard = line.hear(FLIGHT).await;
    if tls.read_tls(&mut &heard[..]).is_err() || tls.process_new_packets().is_err() {
        return;
    }
    let answer = flight(&mut tls);
    let answer = if dice.once_in(2) { dice.cut(answer) } else { dice.spoil(answer) };
    line.say_somehow(&answer, dice).await;
}

/// What the client has to say now.
fn flight(tls: &mut ClientConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut bytes).expect("memory takes everything");
    }
    bytes
}

/// Records of every kind, also of a handshake that claims to be long.
fn garbage(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..=dice.below(20) {
        let kind = dice.one(&[&[22_u8, 3, 1], &[22, 3, 3], &[20, 3, 3], &[21, 3, 3], &[23, 3, 3], &[22, 9, 9]]);
        let message = if dice.once_in(2) {
            [&[1, 0xff, 0xff, 0xff][..], &dice.bytes(FLIGHT)].concat()
        } else {
            dice.bytes(FLIGHT)
        };
        let length = if dice.once_in(4) { u16::MAX } else { u16::try_from(message.len()).unwrap_or(u16::MAX) };
        bytes.extend([&kind[..], &length.to_be_bytes(), &message].concat());
    }
    bytes
}
