//! What a proxy says of its client, rightly or not.

use super::dice::Dice;

/// The first bytes of a header of version 2.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header of either version, whole or broken; sometimes none.
pub(super) fn any(dice: &mut Dice) -> Vec<u8> {
    let last = dice.below(24);
    match dice.below(12) {
        0 => Vec::new(),
        1..=3 => format!("PROXY TCP4 192.0.2.{last} 127.0.0.1 4711 7171\r\n").into_bytes(),
        4 => format!("PROXY TCP6 2001:db8::{last} ::1 4711 7171\r\n").into_bytes(),
        5 => b"PROXY UNKNOWN\r\n".to_vec(),
        6 => format!("PROXY {}\r\n", dice.word(200)).into_bytes(),
        7..=9 => version_2(dice),
        10 => {
            let header = version_2(dice);
            dice.spoil(header)
        }
        _ => {
            let header = version_2(dice);
            dice.cut(header)
        }
    }
}

fn version_2(dice: &mut Dice) -> Vec<u8> {
    let mut addresses = vec![192, 0, 2, 1, 127, 0, 0, 1, 0x12, 0x67, 0x1c, 0x03];
    addresses[3] = u8::try_from(dice.below(24)).expect("a byte");
    // What may follow the addresses.
    addresses.extend(dice.bytes(20 << 10));
    let command = dice.one(&[&0x21_u8, &0x21, &0x20, &0x22]);
    let family = dice.one(&[&0x11_u8, &0x11, &0x21, &0x31, &0x00, &0x99]);
    let length = u16::try_from(addresses.len()).expect("it fits");
    [V2, &[*command, *family], &length.to_be_bytes(), &addresses].concat()
}

/// Lines that name the client in the request.
pub(super) fn forwarded_for(dice: &mut Dice) -> String {
    let last = dice.below(24);
    match dice.below(5) {
        0 => String::new(),
        1 => format!("X-Forwarded-For: {}\r\n", dice.word(3_000)),
        2 => format!("X-Forwarded-For: {}192.0.2.{last}\r\n", "127.0.3.1, ".repeat(dice.below(200))),
        3 => format!("X-Forwarded-For: 192.0.2.{last}\r\n").repeat(1 + dice.below(20)),
        _ => format!("X-Forwarded-For: 203.0.113.9, [2001:db8::{last}]:80\r\n"),
    }
}
