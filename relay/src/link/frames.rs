//! Outgoing frames, gathered so that many go out in one write.

use fastwebsockets::{Frame, OpCode, Payload};

use super::CloseCode;

/// Which side of the handshake this end was. A client masks what it sends, a server does not (RFC 6455, section 5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// This end answered the upgrade request.
    Server,
    /// This end sent the upgrade request.
    Client,
}

/// Longest head of a frame: two bytes, eight of length, four of mask.
const MAX_HEAD: usize = 14;

/// Most payload of a control frame (RFC 6455, section 5.5).
pub(super) const MAX_CONTROL_PAYLOAD: usize = 125;

/// Buffers up to this size stay with a link that has nothing to send.
const KEPT_CAPACITY: usize = 1024;

/// The bytes of the frames that the next write takes out.
#[derive(Debug)]
pub struct FrameBatch {
    wire: Vec<u8>,
    scratch: Vec<u8>,
    target: usize,
    role: Role,
}

impl FrameBatch {
    pub(super) fn new(role: Role, target: usize) -> Self {
        Self { wire: Vec::new(), scratch: Vec::new(), target, role }
    }

    /// Whether the batch is as large as a write should be. What is added nevertheless goes out with it.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.wire.len() >= self.target
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.wire.is_empty()
    }

    /// Adds a message of one text frame, whose payload `write` appends to the (empty) buffer it gets. It must be
    /// UTF-8.
    pub fn text(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        write(&mut scratch);
        self.frame(OpCode::Text, &scratch);
        self.scratch = scratch;
    }

    /// Adds a message of one text frame with this payload, which must be UTF-8.
    pub fn text_bytes(&mut self, payload: &[u8]) {
        self.frame(OpCode::Text, payload);
    }

    pub(super) fn ping(&mut self) {
        self.frame(OpCode::Ping, &[]);
    }

    /// Adds a Pong; what is beyond the longest control payload is left out.
    pub(super) fn pong(&mut self, payload: &[u8]) {
        self.frame(OpCode::Pong, cut(payload, MAX_CONTROL_PAYLOAD));
    }

    /// Adds a Close, with a code where there is one. `reason` is cut where it is too long.
    pub(super) fn close(&mut self, code: Option<CloseCode>, reason: &str) {
        let mut payload = Vec::new();
        if let Some(code) = code {
            payload.extend_from_slice(&code.0.to_be_bytes());
            let end = reason.floor_char_boundary(MAX_CONTROL_PAYLOAD - 2);
            payload.extend_from_slice(&reason.as_bytes()[..end]);
        }
        self.frame(OpCode::Close, &payload);
    }

    fn frame(&mut self, opcode: OpCode, payload: &[u8]) {
        let start = self.wire.len();
        let masks = self.role == Role::Client;
        let head = head_len(payload.len(), masks);
        self.wire.reserve(head + payload.len());
        self.wire.extend_from_slice(&[0; MAX_HEAD][..head]);
        self.wire.extend_from_slice(payload);
        let (head, body) = self.wire[start..].split_at_mut(head);
        let mut frame = Frame::new(true, opcode, None, Payload::BorrowedMut(body));
        if masks {
            frame.mask();
        }
        frame.fmt_head(head);
    }

    /// What to write.
    pub(super) fn wire(&self) -> &[u8] {
        &self.wire
    }

    /// Empties the batch. Capacity that only an unusually large message needed is given back.
    pub(super) fn clear(&mut self) {
        self.shrink(self.target.saturating_mul(2).max(KEPT_CAPACITY));
    }

    /// Empties the batch of a link that has nothing to send, and gives its memory back.
    pub(super) fn release(&mut self) {
        self.shrink(KEPT_CAPACITY);
    }

    fn shrink(&mut self, kept: usize) {
        for buffer in [&mut self.wire, &mut self.scratch] {
            if buffer.capacity() > kept {
                *buffer = Vec::new();
            }
            buffer.clear();
        }
    }
}

fn cut(bytes: &[u8], max: usize) -> &[u8] {
    &bytes[..bytes.len().min(max)]
}

/// The length of the head that `Frame::fmt_head` writes.
fn head_len(payload: usize, masked: bool) -> usize {
    let length = match payload {
        0..126 => 2,
        126..65_536 => 4,
        _ => 10,
    };
    length + if masked { 4 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_class_has_its_head() {
        for (len, head) in [
            (0_usize, vec![0x81, 0]),
            (125, vec![0x81, 125]),
            (126, vec![0x81, 126, 0, 126]),
            (65_535, vec![0x81, 126, 0xFF, 0xFF]),
            (65_536, vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let payload = vec![b'x'; len];
            let mut batch = FrameBatch::new(Role::Server, 1);
            batch.text_bytes(&payload);
            assert_eq!(batch.wire(), [head, payload].concat(), "{len}");
        }
    }

    #[test]
    fn a_client_masks_each_frame_anew() {
        for len in [5_usize, 300, 70_000] {
            let payload = vec![b'x'; len];
            let mut batch = FrameBatch::new(Role::Client, 1);
            batch.text_bytes(&payload);
            let first = batch.wire().to_vec();
            let head = head_len(len, true);
            assert_eq!(first[1] & 0x80, 0x80);
            let mask: Vec<u8> = first[head - 4..head].to_vec();
            let unmasked: Vec<u8> = first[head..].iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b).collect();
            assert_eq!(unmasked, payload);
            let differs = (0..8).any(|_| {
                batch.clear();
                batch.text_bytes(&payload);
                batch.wire()[head - 4..head] != mask
            });
            assert!(differs, "the mask must not be predictable");
        }
    }

    #[test]
    fn written_and_given_texts_make_the_same_frames() {
        let mut batch = FrameBatch::new(Role::Server, 100);
        batch.text(|out| out.extend_from_slice(b"one"));
        batch.text_bytes(b"two");
        batch.text(|out| {
            assert!(out.is_empty(), "nothing of the frame before is left");
            out.extend_from_slice(b"three");
        });
        assert_eq!(batch.wire(), b"\x81\x03one\x81\x03two\x81\x05three");
        assert!(!batch.is_full());
        batch.text_bytes(&[b'x'; 100]);
        assert!(batch.is_full());
    }

    #[test]
    fn a_close_reason_is_cut_between_characters() {
        let mut batch = FrameBatch::new(Role::Server, 1);
        batch.close(Some(CloseCode::AWAY), &"ä".repeat(100));
        assert_eq!(batch.wire()[..4], [0x88, 124, 0x03, 0xE9]);
        assert!(std::str::from_utf8(&batch.wire()[4..]).is_ok());
    }

    #[test]
    fn memory_is_given_back() {
        let mut batch = FrameBatch::new(Role::Server, 64);
        batch.text(|out| out.resize(1 << 20, b'x'));
        batch.clear();
        assert!(batch.wire.capacity() + batch.scratch.capacity() <= 2 * KEPT_CAPACITY);
        let mut busy = FrameBatch::new(Role::Server, 64 << 10);
        busy.text_bytes(&[b'x'; 64 << 10]);
        busy.clear();
        assert!(busy.wire.capacity() >= 64 << 10, "a busy link keeps its buffer");
        busy.release();
        assert!(busy.wire.capacity() <= KEPT_CAPACITY);
    }
}
