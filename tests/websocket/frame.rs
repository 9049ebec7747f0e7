//! Frames as values, and the bytes that they become.

use slipstream::link::Role;

/// The bit of a message's last frame.
pub(crate) const FIN: u8 = 0x80;
pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xA;

const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// One frame that the far end of a link sends, right or wrong.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    /// FIN, the reserved bits, the opcode.
    pub(crate) first: u8,
    pub(crate) payload: Vec<u8>,
    length: Length,
    mask: Mask,
}

/// How a frame says how long it is.
#[derive(Debug, Clone, Copy)]
enum Length {
    /// In as few bytes as can be.
    Minimal,
    In16Bits,
    In64Bits,
    /// It says this, in 64 bits.
    Says(u64),
}

#[derive(Debug, Clone, Copy)]
enum Mask {
    /// A client masks, a server does not.
    AsItMust,
    /// The other way round.
    Wrong,
    /// Like `AsItMust`, with a key of zeros.
    Zeros,
}

/// A frame with this first byte.
pub(crate) fn frame(first: u8, payload: impl AsRef<[u8]>) -> Frame {
    Frame { first, payload: payload.as_ref().to_vec(), length: Length::Minimal, mask: Mask::AsItMust }
}

/// A whole text.
pub(crate) fn text(payload: impl AsRef<[u8]>) -> Frame {
    frame(FIN | TEXT, payload)
}

/// A whole binary message.
pub(crate) fn binary(payload: impl AsRef<[u8]>) -> Frame {
    frame(FIN | BINARY, payload)
}

/// The first fragment of a text.
pub(crate) fn begin(payload: impl AsRef<[u8]>) -> Frame {
    frame(TEXT, payload)
}

/// A fragment that is neither the first nor the last.
pub(crate) fn more(payload: impl AsRef<[u8]>) -> Frame {
    frame(CONTINUATION, payload)
}

/// The last fragment.
pub(crate) fn last(payload: impl AsRef<[u8]>) -> Frame {
    frame(FIN | CONTINUATION, payload)
}

pub(crate) fn ping(payload: impl AsRef<[u8]>) -> Frame {
    frame(FIN | PING, payload)
}

pub(crate) fn pong(payload: impl AsRef<[u8]>) -> Frame {
    frame(FIN | PONG, payload)
}

/// A Close with a code and a reason.
pub(crate) fn close(code: u16, reason: impl AsRef<[u8]>) -> Frame {
    frame(FIN | CLOSE, [&code.to_be_bytes(), reason.as_ref()].concat())
}

impl Frame {
    /// Sets these reserved bits, as the number that they make: 4 is the first of them.
    pub(crate) fn reserved(mut self, bits: u8) -> Self {
        self.first |= bits << 4;
        self
    }

    pub(crate) fn length_in_16_bits(self) -> Self {
        Self { length: Length::In16Bits, ..self }
    }

    pub(crate) fn length_in_64_bits(self) -> Self {
        Self { length: Length::In64Bits, ..self }
    }

    /// Says this length, whatever it brings.
    pub(crate) fn says(self, length: u64) -> Self {
        Self { length: Length::Says(length), ..self }
    }

    pub(crate) fn masked_wrongly(self) -> Self {
        Self { mask: Mask::Wrong, ..self }
    }

    pub(crate) fn masked_with_zeros(self) -> Self {
        Self { mask: Mask::Zeros, ..self }
    }

    /// The frame as this end sends it.
    pub(crate) fn bytes(&self, sender: Role) -> Vec<u8> {
        let masks = (sender == Role::Client) != matches!(self.mask, Mask::Wrong);
        let mut bytes = Vec::with_capacity(self.payload.len() + 14);
        bytes.push(self.first);
        self.push_length(&mut bytes, if masks { 0x80 } else { 0 });
        let key = if matches!(self.mask, Mask::Zeros) { [0; 4] } else { MASK };
        if masks {
            bytes.extend(key);
        }
        let start = bytes.len();
        bytes.extend(&self.payload);
        if masks {
            mask(&mut bytes[start..], key);
        }
        bytes
    }

    fn push_length(&self, bytes: &mut Vec<u8>, mask_bit: u8) {
        let length = self.payload.len() as u64;
        match (self.length, length) {
            (Length::Minimal, 0..126) => bytes.push(mask_bit | u8::try_from(length).expect("it is short")),
            (Length::Minimal, 126..0x1_0000) | (Length::In16Bits, _) => {
                bytes.push(mask_bit | 126);
                bytes.extend(u16::try_from(length).expect("it fits").to_be_bytes());
            }
            (Length::Minimal | Length::In64Bits, _) => {
                bytes.push(mask_bit | 127);
                bytes.extend(length.to_be_bytes());
            }
            (Length::Says(length), _) => {
                bytes.push(mask_bit | 127);
                bytes.extend(length.to_be_bytes());
            }
        }
    }
}

/// Masks or unmasks (RFC 6455, section 5.3). Eight bytes at once, because this is not optimised when it is tested.
pub(crate) fn mask(payload: &mut [u8], key: [u8; 4]) {
    let wide = u64::from_ne_bytes([key, key].concat().try_into().expect("eight bytes"));
    let (chunks, rest) = payload.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    rest.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
}
