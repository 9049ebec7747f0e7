//! `relayStamp`: the number that the first relay gave a message, `EPOCH:N` with a ULID and a decimal count.

use slipstream_store::Stamp;
use ulid::Ulid;

use super::fields::{Fault, Field, Fields, json};

/// The stamp of a message that a relay sent, if it has one.
pub(super) fn read(fields: &Fields<'_>) -> Result<Option<Stamp>, Fault> {
    let Some(json) = fields.get(Field::RelayStamp) else {
        return Ok(None);
    };
    match json::text(json).and_then(|text| parse(&text)) {
        Some(stamp) => Ok(Some(stamp)),
        None => Err(Fault::expected(Field::RelayStamp, "EPOCH:N, a ULID and a decimal number below 2^64", json)),
    }
}

fn parse(text: &str) -> Option<Stamp> {
    let (epoch, number) = text.split_once(':')?;
    // The parser of numbers takes a plus sign, the protocol does not.
    let number = number.bytes().all(|byte| byte.is_ascii_digit()).then_some(number)?;
    Some(Stamp { epoch: Ulid::from_string(epoch).ok()?, number: number.parse().ok()? })
}

pub(super) fn write(out: &mut Vec<u8>, stamp: Stamp) {
    let mut epoch = [0; ulid::ULID_LEN];
    out.push(b'"');
    out.extend_from_slice(stamp.epoch.array_to_str(&mut epoch).as_bytes());
    out.push(b':');
    out.extend_from_slice(itoa::Buffer::new().format(stamp.number).as_bytes());
    out.push(b'"');
}
