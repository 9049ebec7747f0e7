//! How deep JSON is nested. Many parsers stop at some depth, and some programs die of it, so a message has a limit.

use std::num::NonZeroUsize;

use memchr::memchr2;

/// Most levels of a message unless configured: the message itself, and the arrays and objects in it. Every common JSON
/// parser takes that many; `docs/protocol.md` has what each was seen to take.
pub const DEFAULT_MAX_DEPTH: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// Whether arrays and objects stand more than `most` levels deep in this text, which is valid JSON.
pub(super) fn is_deeper(json: &str, most: usize) -> bool {
    let json = json.as_bytes();
    // Each level takes two bytes, and is opened once. Nearly all texts need no closer look.
    json.len() / 2 > most && opens(json[0]) && opens_more_than(json, most) && reaches_beyond(json, most)
}

/// `[` or `{`, which differ in one bit.
const fn opens(byte: u8) -> bool {
    byte | 0x20 == b'{'
}

/// Whether so many brackets and braces open, those in strings counted too.
fn opens_more_than(json: &[u8], most: usize) -> bool {
    // A chunk's count fits into a byte, so that it is counted many bytes at once.
    let mut chunks = json.chunks(255).map(|chunk| chunk.iter().map(|&byte| u8::from(opens(byte))).sum::<u8>());
    let mut opened = 0;
    chunks.any(|count| {
        opened += usize::from(count);
        opened > most
    })
}

fn reaches_beyond(json: &[u8], most: usize) -> bool {
    let (mut depth, mut at) = (0, 0);
    while let Some(&byte) = json.get(at) {
        at += 1;
        match byte {
            b'"' => at = end_of_string(json, at),
            b'[' | b'{' if depth == most => return true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
    }
    false
}

/// Where the text goes on after the string whose first character stands at `at`.
fn end_of_string(json: &[u8], mut at: usize) -> usize {
    /// Most characters of a string that are looked at one by one.
    const SHORT: usize = 16;
    let near = (at + SHORT).min(json.len());
    while at < near {
        match json[at] {
            b'"' => return at + 1,
            // Whatever is escaped ends no string.
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    while let Some(found) = json.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if json[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// The same by recursion over the parsed text.
    fn depth(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
            Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
            _ => 0,
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let string = r#"[\[\]{}",:\\a\n]{0,20}"#;
        let leaf = prop_oneof![Just(Value::Null), any::<i64>().prop_map(Value::from), string.prop_map(Value::from)];
        leaf.prop_recursive(12, 64, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(string, inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_depth_is_that_of_the_parsed_text(value in values(), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let depth = depth(&value);
            for most in 0..depth + 2 {
                prop_assert_eq!(is_deeper(&text, most), depth > most, "{} {}", most, text);
            }
        }
    }
}
