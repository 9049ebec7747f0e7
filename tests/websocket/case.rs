//! A case as a value: what the far end of a link sends, and what must come of it.

use std::fmt;

use slipstream::link::Role;

use super::frame::{BINARY, CLOSE, FIN, Frame, PING, TEXT};

/// Longest message that every end here is told to take, where it can be told.
pub(crate) const MAX_MESSAGE: usize = 16 << 20;

/// One case.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// The section of RFC 6455.
    pub(crate) section: &'static str,
    /// Unique within its section.
    pub(crate) name: String,
    pub(crate) sends: Vec<Frame>,
    split: Split,
    /// The messages that an echo returns, with their opcodes. Of a link that ends with a failure they may be missing.
    pub(crate) echoes: Vec<(u8, Vec<u8>)>,
    /// The last pong that must come. Those before it may be left out (section 5.5.3).
    pub(crate) pong: Option<Vec<u8>>,
    /// What RFC 6455 wants to come of it.
    pub(crate) expected: Outcome,
}

/// How the bytes are cut into writes.
#[derive(Debug, Clone, Copy)]
enum Split {
    /// All at once.
    Whole,
    /// Each frame alone.
    Frames,
    /// So many bytes at once.
    Bytes(usize),
}

/// What came of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything came back as it should, and the closing handshake that was then begun was completed.
    Answered,
    /// The link was closed with this code.
    Closed(u16),
    /// The link was closed without a code.
    ClosedWithoutCode,
    /// The stream ended without a Close.
    Dropped,
    /// Something that should not be, in words.
    Wrong(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered => f.write_str("answered"),
            Self::Closed(code) => code.fmt(f),
            Self::ClosedWithoutCode => f.write_str("no code"),
            Self::Dropped => f.write_str("dropped"),
            Self::Wrong(what) => f.write_str(what),
        }
    }
}

/// A case in which nothing comes back, and the link stays.
pub(crate) fn case(section: &'static str, name: impl Into<String>, sends: impl Into<Vec<Frame>>) -> Case {
    let (name, sends) = (name.into(), sends.into());
    Case { section, name, sends, split: Split::Whole, echoes: Vec::new(), pong: None, expected: Outcome::Answered }
}

impl Case {
    /// A text comes back.
    pub(crate) fn echoes(mut self, text: impl AsRef<[u8]>) -> Self {
        self.echoes.push((TEXT, text.as_ref().to_vec()));
        self
    }

    /// A binary message comes back from an end that takes such.
    pub(crate) fn echoes_binary(mut self, payload: impl AsRef<[u8]>) -> Self {
        self.echoes.push((BINARY, payload.as_ref().to_vec()));
        self
    }

    /// This is the last pong that comes.
    pub(crate) fn pongs(self, payload: impl AsRef<[u8]>) -> Self {
        Self { pong: Some(payload.as_ref().to_vec()), ..self }
    }

    /// The link ends with this code.
    pub(crate) fn ends(self, code: u16) -> Self {
        Self { expected: Outcome::Closed(code), ..self }
    }

    /// The link ends with a Close that has no code.
    pub(crate) fn ends_without_code(self) -> Self {
        Self { expected: Outcome::ClosedWithoutCode, ..self }
    }

    /// The same, sent in pieces of so many bytes.
    pub(crate) fn in_pieces(self, bytes: usize) -> Self {
        let how = if bytes == 1 { "byte by byte".to_owned() } else { format!("in pieces of {bytes} bytes") };
        let name = format!("{}, {how}", self.name);
        Self { name, split: Split::Bytes(bytes), ..self }
    }

    /// The case in one write, a frame at a time, and a byte at a time.
    pub(crate) fn in_every_way(self) -> [Self; 3] {
        let by_frame = Self { name: format!("{}, frame by frame", self.name), split: Split::Frames, ..self.clone() };
        [self.clone(), by_frame, self.in_pieces(1)]
    }

    /// What is written, in one write each.
    pub(crate) fn writes(&self, sender: Role) -> Vec<Vec<u8>> {
        let frames = self.sends.iter().map(|frame| frame.bytes(sender));
        match self.split {
            Split::Whole => vec![frames.collect::<Vec<_>>().concat()],
            Split::Frames => frames.collect(),
            Split::Bytes(count) => frames.collect::<Vec<_>>().concat().chunks(count).map(<[u8]>::to_vec).collect(),
        }
    }

    /// Whether the far end begins the closing handshake itself.
    pub(crate) fn closes(&self) -> bool {
        self.sends.iter().any(|frame| frame.first == FIN | CLOSE)
    }

    /// The code in the first Close that the far end sends. If the case has none, it is 1000.
    pub(crate) fn close_code(&self) -> &[u8] {
        let close = self.sends.iter().find(|frame| frame.first == FIN | CLOSE);
        close.map_or(&[0x03, 0xE8], |close| close.payload.first_chunk::<2>().map_or(&[], |code| code))
    }

    /// The payloads of the pings that are sent.
    pub(crate) fn pings(&self) -> impl Iterator<Item = &[u8]> {
        self.sends.iter().filter(|frame| frame.first == FIN | PING).map(|frame| &frame.payload[..])
    }
}
