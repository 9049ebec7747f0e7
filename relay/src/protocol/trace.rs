//! `traceparent`: where a message stands in a distributed trace, as W3C Trace Context writes it
//! (<https://www.w3.org/TR/trace-context/#traceparent-header>). The relay reads it and never changes it.

use std::fmt;

use super::fields::{Field, Fields, json};

/// Bytes of what every version begins with: `VERSION-TRACE_ID-PARENT_ID-FLAGS`.
const LENGTH: usize = 55;

/// The flag of a caller that records the trace itself.
const SAMPLED: u64 = 0x01;

/// The trace that a message belongs to, and the span that sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The id of the trace, not zero.
    pub trace_id: TraceId,
    /// The id of the span that sent the message, not zero.
    pub parent_id: SpanId,
    /// Whether the sender records the trace, so that others should too.
    pub sampled: bool,
}

/// The id of a trace. It is shown as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(pub u128);

/// The id of a span. It is shown as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanId(pub u64);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl TraceContext {
    /// Reads a `traceparent`; `None` if it is invalid, which means the same as that there is none. Of a version that is not
    /// known yet it reads what every version begins with.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (known, rest) = text.as_bytes().split_at_checked(LENGTH)?;
        let is_whole = match hexadecimal(known.get(..2)?)? {
            0xff => false,
            0 => rest.is_empty(),
            _ => rest.is_empty() || rest.starts_with(b"-"),
        };
        let has_dashes = [2, 35, 52].iter().all(|&at| known.get(at) == Some(&b'-'));
        let (high, low) = (hexadecimal(known.get(3..19)?)?, hexadecimal(known.get(19..35)?)?);
        let trace_id = TraceId(u128::from(high) << 64 | u128::from(low));
        let parent_id = SpanId(hexadecimal(known.get(36..52)?)?);
        let sampled = hexadecimal(known.get(53..)?)? & SAMPLED != 0;
        let is_valid = is_whole && has_dashes && trace_id.0 != 0 && parent_id.0 != 0;
        is_valid.then_some(Self { trace_id, parent_id, sampled })
    }

    /// What stands in the field of a text, if that is valid.
    pub(super) fn read(fields: &Fields<'_>) -> Option<Self> {
        Self::parse(&json::text(fields.get(Field::Traceparent)?)?)
    }
}

/// The number that up to 16 lower-case hexadecimal digits are.
fn hexadecimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";

    fn flags(text: &str) -> Option<bool> {
        let context = TraceContext::parse(text)?;
        assert_eq!(
            (context.trace_id.to_string(), context.parent_id.to_string()),
            (TRACE.to_owned(), PARENT.to_owned())
        );
        Some(context.sampled)
    }

    #[test]
    fn a_valid_one_is_read_of_every_version_that_there_may_be() {
        for (version, flag, rest, sampled) in [
            ("00", "00", "", false),
            ("00", "01", "", true),
            ("00", "02", "", false), // Random, of level 2.
            ("00", "03", "", true),
            ("00", "fe", "", false),
            ("00", "ff", "", true),
            ("01", "01", "", true),
            ("cc", "00", "-", false),
            ("cc", "01", "-what-the-future-will-be-like", true),
            ("fe", "01", "-ä", true),
        ] {
            let text = format!("{version}-{TRACE}-{PARENT}-{flag}{rest}");
            assert_eq!(flags(&text), Some(sampled), "{text}");
        }
        let small = TraceContext::parse("00-00000000000000000000000000000001-0000000000000002-00");
        assert_eq!(small, Some(TraceContext { trace_id: TraceId(1), parent_id: SpanId(2), sampled: false }));
        let large = format!("00-{}-{}-00", "f".repeat(32), "f".repeat(16));
        assert_eq!(
            TraceContext::parse(&large),
            Some(TraceContext { trace_id: TraceId(u128::MAX), parent_id: SpanId(u64::MAX), sampled: false })
        );
    }

    #[test]
    fn an_invalid_one_is_none() {
        let (no_trace, no_parent) = ("0".repeat(32), "0".repeat(16));
        for text in [
            format!("00-{no_trace}-{PARENT}-01"),
            format!("00-{TRACE}-{no_parent}-01"),
            format!("ff-{TRACE}-{PARENT}-01"),
            format!("ff-{TRACE}-{PARENT}-01-more"),
            format!("00-{TRACE}-{PARENT}-01-"),
            format!("00-{TRACE}-{PARENT}-01-more"),
            format!("01-{TRACE}-{PARENT}-01more"),
            format!("00-{TRACE}-{PARENT}-0"),
            format!("00-{TRACE}-{PARENT}"),
            format!(" 00-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-01 "),
            format!("0-{TRACE}-{PARENT}-01"),
            format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", PARENT.to_uppercase()),
            format!("0A-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-0B"),
            format!("00-{}-{PARENT}-01", TRACE.replace('4', "+")),
            format!("00-{TRACE}-{PARENT}-01").replace('-', "_"),
            String::new(),
            "-".repeat(LENGTH),
            "ä".repeat(LENGTH),
        ] {
            assert_eq!(TraceContext::parse(&text), None, "{text}");
        }
    }

    #[test]
    fn no_byte_can_be_another_one() {
        let valid = format!("00-{TRACE}-{PARENT}-01");
        for (at, was) in valid.bytes().enumerate() {
            for byte in 0..=0x7f_u8 {
                let mut changed = valid.clone().into_bytes();
                changed[at] = byte;
                let changed = String::from_utf8(changed).unwrap();
                let fits = if was == b'-' { byte == was } else { matches!(byte, b'0'..=b'9' | b'a'..=b'f') };
                assert_eq!(TraceContext::parse(&changed).is_some(), fits, "{changed:?}");
            }
        }
    }

    #[test]
    fn it_is_read_back_from_a_text_that_was_stored() {
        let valid = format!("00-{TRACE}-{PARENT}-01");
        let text = format!(r#"{{"type":"X","value":"\"traceparent\"","traceparent":"{valid}"}}"#);
        assert_eq!(super::super::trace_context(text.as_bytes()), TraceContext::parse(&valid));
        for none in [r#"{"type":"X","value":{"traceparent":"#, r#"{"type":"X","value":["traceparent",""#] {
            let close = if none.ends_with(':') { "}}" } else { "]}" };
            let text = format!("{none}\"{valid}\"{close}").replace("\"\"", "\"");
            assert_eq!(super::super::trace_context(text.as_bytes()), None, "{text}");
        }
    }
}
