//! Whole texts from frames (RFC 6455, section 5.4). Pure.
//!
//! The frame parser bounds each frame; here the sum of a message's fragments is bounded, and their number.

use bytes::{Bytes, BytesMut};

use super::close::Violation;

/// Puts the fragments of a text together.
#[derive(Debug)]
pub(super) struct Assembler {
    max_bytes: usize,
    max_fragments: usize,
    open: Option<Open>,
}

/// A message whose last fragment has not come.
#[derive(Debug)]
struct Open {
    bytes: Vec<u8>,
    fragments: usize,
}

impl Assembler {
    /// Takes messages of up to `max_bytes` bytes in up to `max_fragments` fragments.
    pub(super) fn new(max_bytes: usize, max_fragments: usize) -> Self {
        Self { max_bytes, max_fragments, open: None }
    }

    /// Takes a text frame. One that is a whole message must be valid UTF-8 already: the frame parser has seen to it.
    pub(super) fn text(&mut self, payload: BytesMut, fin: bool) -> Result<Option<Bytes>, Violation> {
        if self.open.is_some() {
            return Err(Violation::protocol("a new message began within a fragmented one"));
        }
        if payload.len() > self.max_bytes {
            return Err(Violation::TOO_LARGE);
        }
        if fin {
            return Ok(Some(payload.freeze()));
        }
        self.open = Some(Open { bytes: payload.to_vec(), fragments: 1 });
        Ok(None)
    }

    /// Takes a continuation frame.
    pub(super) fn continuation(&mut self, payload: &[u8], fin: bool) -> Result<Option<Bytes>, Violation> {
        let Some(open) = &mut self.open else {
            return Err(Violation::protocol("a continuation of nothing"));
        };
        if payload.len() > self.max_bytes - open.bytes.len() {
            return Err(Violation::TOO_LARGE);
        }
        if open.fragments == self.max_fragments {
            return Err(Violation::TOO_MANY_FRAGMENTS);
        }
        open.bytes.extend_from_slice(payload);
        open.fragments += 1;
        if !fin {
            return Ok(None);
        }
        let bytes = self.open.take().map(|open| open.bytes).unwrap_or_default();
        match std::str::from_utf8(&bytes) {
            Ok(_) => Ok(Some(bytes.into())),
            Err(_) => Err(Violation::NOT_UTF8),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::link::CloseCode;

    fn text(assembler: &mut Assembler, payload: &str, fin: bool) -> Result<Option<Bytes>, Violation> {
        assembler.text(BytesMut::from(payload), fin)
    }

    #[test]
    fn the_size_limit_is_inclusive_whole_and_in_fragments() {
        let mut assembler = Assembler::new(4, 3);
        assert_eq!(text(&mut assembler, "1234", true), Ok(Some(Bytes::from("1234"))));
        assert_eq!(text(&mut assembler, "12345", true), Err(Violation::TOO_LARGE));
        assert_eq!(text(&mut assembler, "12345", false), Err(Violation::TOO_LARGE));
        assert_eq!(text(&mut assembler, "12", false), Ok(None));
        assert_eq!(assembler.continuation(b"34", true), Ok(Some(Bytes::from("1234"))));
        assert_eq!(text(&mut assembler, "12", false), Ok(None));
        assert_eq!(assembler.continuation(b"345", true), Err(Violation::TOO_LARGE));
    }

    #[test]
    fn the_number_of_fragments_is_bounded_also_where_they_are_empty() {
        let mut assembler = Assembler::new(100, 3);
        assert_eq!(text(&mut assembler, "", false), Ok(None));
        assert_eq!(assembler.continuation(b"", false), Ok(None));
        assert_eq!(assembler.continuation(b"", false), Ok(None));
        assert_eq!(assembler.continuation(b"", true), Err(Violation::TOO_MANY_FRAGMENTS));
    }

    #[test]
    fn frames_out_of_place_are_violations() {
        let mut assembler = Assembler::new(100, 3);
        let violation = assembler.continuation(b"x", true).unwrap_err();
        assert_eq!(violation.code, CloseCode::PROTOCOL);
        assert_eq!(text(&mut assembler, "a", false), Ok(None));
        assert_eq!(text(&mut assembler, "b", true).unwrap_err().code, CloseCode::PROTOCOL);
    }

    proptest! {
        #[test]
        fn however_a_text_is_cut_it_comes_out_whole(whole in "\\PC{0,40}", cuts in prop::collection::vec(0..80usize, 0..6)) {
            let bytes = whole.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let ends = cuts.iter().copied().chain([bytes.len()]);
            let starts = [0].into_iter().chain(cuts.iter().copied());
            let pieces: Vec<&[u8]> = starts.zip(ends).map(|(start, end)| &bytes[start..end]).collect();
            let mut assembler = Assembler::new(bytes.len(), pieces.len());
            let mut result = assembler.text(BytesMut::from(pieces[0]), pieces.len() == 1);
            for (index, piece) in pieces.iter().enumerate().skip(1) {
                prop_assert_eq!(&result, &Ok(None));
                result = assembler.continuation(piece, index + 1 == pieces.len());
            }
            prop_assert_eq!(result, Ok(Some(Bytes::copy_from_slice(bytes))));
        }

        #[test]
        fn what_is_not_utf8_as_a_whole_is_refused(start in "\\PC{0,8}", end in "\\PC{0,8}") {
            let mut assembler = Assembler::new(1000, 3);
            prop_assert_eq!(text(&mut assembler, &start, false), Ok(None));
            prop_assert_eq!(assembler.continuation(&[0xC3], false), Ok(None));
            prop_assert_eq!(assembler.continuation(end.as_bytes(), true), Err(Violation::NOT_UTF8));
        }
    }
}
