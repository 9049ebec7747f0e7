//! The bytes of a link after its handshake.

use std::time::Duration;

use bytes::Bytes;
use slipstream::link::{CloseCode, LinkLimits, Role, Socket};

use crate::link::{End, Outcome, alone, linked};
use crate::scripted::{Pieces, Scripted, Then};

/// Longest payload of a control frame.
const MAX_CONTROL: usize = 125;

/// Reads frames: the first byte says which end this is and which limits it has, the second how the bytes come in pieces.
///
/// - What is taken and how the link ends is what a plain reading of RFC 6455 says, which is part of this file.
/// - It is the same however the bytes come in pieces.
/// - What a server writes are whole frames, of which each Pong answers a Ping and only the last is a Close.
pub fn frames(input: &[u8]) {
    let Some((&[how, pieces], wire)) = input.split_first_chunk() else { return };
    let role = if how & 1 == 0 { Role::Server } else { Role::Client };
    let limits = limits([16, 300, 70_000][usize::from(how >> 1) % 3]);
    let expected = expected(wire, role, &limits);
    for pieces in [Pieces::WHOLE, Pieces(pieces)] {
        let (stream, left) = Scripted::new(wire, pieces, Then::End);
        let outcome = alone(linked(Socket::new(Box::new(stream)), role, limits.clone()));
        assert_eq!(outcome, expected.outcome, "{pieces:?}");
        if role == Role::Server {
            answers(&left.written(), &expected);
        }
    }
}

/// Few fragments, and times that never come.
pub(crate) fn limits(max_message_bytes: usize) -> LinkLimits {
    const NEVER: Duration = Duration::from_secs(1_000_000);
    LinkLimits {
        max_message_bytes,
        max_fragments: 4,
        heartbeat: NEVER,
        idle_timeout: NEVER,
        close_timeout: NEVER,
        write_batch_bytes: 4096,
    }
}

/// What follows from the bytes of a link.
pub(crate) struct Expected {
    pub(crate) outcome: Outcome,
    pings: Vec<Vec<u8>>,
}

/// A frame, and whether it was masked.
struct Frame {
    fin: bool,
    opcode: u8,
    masked: bool,
    payload: Vec<u8>,
}

const PROTOCOL: End = End::Violation(CloseCode::PROTOCOL);
const TOO_LARGE: End = End::Violation(CloseCode::TOO_LARGE);
const NOT_UTF8: End = End::Violation(CloseCode::INVALID_TEXT);

/// Reads the next frame (RFC 6455, section 5.2) off the bytes.
fn frame(wire: &mut &[u8], most: usize) -> Result<Frame, End> {
    let (&[first, second], mut rest) = wire.split_first_chunk().ok_or(End::Lost)?;
    let (fin, opcode, masked) = (first & 0x80 != 0, first & 0x0F, second & 0x80 != 0);
    if first & 0x70 != 0 || matches!(opcode, 0x3..=0x7 | 0xB..) {
        return Err(PROTOCOL);
    }
    let mut take = |count: usize| rest.split_off(..count).ok_or(End::Lost);
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let length = match second & 0x7F {
        126 => take(2).map(number),
        127 => take(8).map(number),
        length => Ok(u64::from(length)),
    };
    let mask = if masked { take(4) } else { Ok(&[0; 4][..]) };
    let (length, mask) = (length?, mask?);
    if opcode >= 0x8 && !fin || opcode == 0x9 && length > MAX_CONTROL as u64 {
        return Err(PROTOCOL);
    }
    // Refused before its bytes come, so a frame that would be refused for something else is too large first.
    let length = usize::try_from(length).ok().filter(|length| *length <= most.max(MAX_CONTROL)).ok_or(TOO_LARGE)?;
    let payload = take(length)?.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    *wire = rest;
    Ok(Frame { fin, opcode, masked, payload })
}

/// What a link makes of these bytes, after which the stream ends.
pub(crate) fn expected(mut wire: &[u8], role: Role, limits: &LinkLimits) -> Expected {
    let (mut texts, mut pings) = (Vec::new(), Vec::new());
    let mut open: Option<(Vec<u8>, usize)> = None;
    let end = loop {
        match frame(&mut wire, limits.max_message_bytes).and_then(|frame| {
            if frame.opcode == 0x9 {
                pings.push(frame.payload.clone());
            }
            next(frame, role, limits, &mut open)
        }) {
            Ok(text) => texts.extend(text),
            Err(end) => break end,
        }
    };
    Expected { outcome: Outcome { texts, end }, pings }
}

/// Takes a frame; returns the message that it ends, or how the link ends with it.
fn next(
    Frame { fin, opcode, masked, payload }: Frame,
    role: Role,
    limits: &LinkLimits,
    open: &mut Option<(Vec<u8>, usize)>,
) -> Result<Option<Bytes>, End> {
    let is_utf8 = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok();
    if opcode == 0x1 && fin && !is_utf8(&payload) {
        return Err(NOT_UTF8);
    }
    // A Close without a mask is taken: proxies send it.
    let must_be_masked = role == Role::Server && opcode != 0x8;
    if must_be_masked && !masked || role == Role::Client && masked || opcode >= 0x8 && payload.len() > MAX_CONTROL {
        return Err(PROTOCOL);
    }
    let so_far = match (opcode, open.take()) {
        (0x0, Some((so_far, count))) => Some((so_far, count)),
        (0x0, None) | (0x1, Some(_)) => return Err(PROTOCOL),
        (0x1, None) => None,
        (0x2, _) => return Err(End::Violation(CloseCode::UNSUPPORTED)),
        (0x8, _) => return Err(closed(&payload)),
        (_, other) => {
            *open = other;
            return Ok(None);
        }
    };
    let (mut bytes, count) = so_far.unwrap_or_default();
    if bytes.len() + payload.len() > limits.max_message_bytes || count == limits.max_fragments {
        return Err(TOO_LARGE);
    }
    bytes.extend_from_slice(&payload);
    if !fin {
        *open = Some((bytes, count + 1));
        return Ok(None);
    }
    if is_utf8(&bytes) { Ok(Some(bytes.into())) } else { Err(NOT_UTF8) }
}

/// How a Close with this payload ends the link (RFC 6455, sections 5.5.1 and 7.4, and IANA's register).
fn closed(payload: &[u8]) -> End {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { End::Closed(None, String::new()) } else { PROTOCOL };
    };
    let code = u16::from_be_bytes(*code);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return PROTOCOL;
    }
    String::from_utf8(reason.to_vec()).map_or(NOT_UTF8, |reason| End::Closed(Some(CloseCode(code)), reason))
}

/// Asserts that what a server has written are the answers to what came.
pub(crate) fn answers(mut written: &[u8], expected: &Expected) {
    let mut pings = expected.pings.iter();
    let mut close = None;
    while !written.is_empty() {
        let frame = frame(&mut written, MAX_CONTROL);
        assert!(frame.is_ok() && close.is_none(), "half a frame, or one after the Close, was written");
        let Ok(Frame { fin, opcode, masked, payload }) = frame else { return };
        assert!(fin && !masked, "a frame of a server is whole and not masked");
        match opcode {
            // Only the newest Ping is answered if several came at once.
            0xA => assert!(pings.any(|ping| *ping == payload), "a Pong that answers no Ping: {payload:?}"),
            _ => {
                assert_eq!(opcode, 0x8, "nothing else was to be sent");
                close = Some(payload);
            }
        }
    }
    let code = match &expected.outcome.end {
        End::Lost => return,
        End::Violation(code) => Some(*code),
        End::Closed(code, _) => *code,
    };
    let sent = close.as_deref().map(|payload| payload.first_chunk().map(|code| CloseCode(u16::from_be_bytes(*code))));
    assert_eq!(sent, Some(code), "the Close says another code");
}
