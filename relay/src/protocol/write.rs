//! Pieces of JSON, written without the formatting machinery.

use slipstream_store::{ClusterGroup, MessageId, PeerId};

/// A name of which every character stands for itself in JSON.
pub(super) trait Plain {
    fn plain(&self) -> &str;
}

impl Plain for PeerId {
    fn plain(&self) -> &str {
        self.as_str()
    }
}

impl Plain for ClusterGroup {
    fn plain(&self) -> &str {
        self.as_str()
    }
}

/// Writes a string that needs no escapes.
pub(super) fn plain(out: &mut Vec<u8>, name: &impl Plain) {
    out.push(b'"');
    out.extend_from_slice(name.plain().as_bytes());
    out.push(b'"');
}

/// Writes a message id. It may hold quotes and backslashes.
pub(super) fn message_id(out: &mut Vec<u8>, id: &MessageId) {
    text(out, id.as_str());
}

/// Writes an array of ids.
pub(super) fn path(out: &mut Vec<u8>, path: &[PeerId]) {
    list(out, path, plain);
}

/// Writes an array.
pub(super) fn list<T>(out: &mut Vec<u8>, items: impl IntoIterator<Item = T>, mut item: impl FnMut(&mut Vec<u8>, T)) {
    out.push(b'[');
    for (index, each) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        item(out, each);
    }
    out.push(b']');
}

/// Writes a string of any characters.
pub(super) fn text(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|&byte| escaped_len(byte) > 1) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            byte @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', byte]),
            byte => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// How many bytes [`text`] writes for a string, the quotes left out.
pub(super) fn text_len(text: &str) -> usize {
    text.bytes().map(escaped_len).sum()
}

/// The longest beginning of a string for which [`text`] writes at most `room` bytes, the quotes left out.
pub(super) fn cut(text: &str, room: usize) -> &str {
    let mut written = 0;
    let fits = text.bytes().take_while(|&byte| {
        written += escaped_len(byte);
        written <= room
    });
    &text[..text.floor_char_boundary(fits.count())]
}

fn escaped_len(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' => 2,
        0..0x20 => 6,
        _ => 1,
    }
}
