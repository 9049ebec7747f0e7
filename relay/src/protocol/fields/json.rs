//! Pieces of JSON text, which is known to be valid.

use std::borrow::Cow;

/// What sort of JSON value begins like this.
pub(in crate::protocol) fn kind(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        Some(b'-' | b'0'..=b'9') => "a number",
        _ => "something else",
    }
}

/// The string that this JSON text is; `None` where it is none, or has half a surrogate pair and so is no Unicode text.
pub(in crate::protocol) fn text(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner.as_bytes().contains(&b'\\') {
        serde_json::from_str(json).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// The JSON text of the string that this text begins with, if it begins with one.
pub(super) fn string_at(json: &str) -> Option<&str> {
    let mut escaped = false;
    let end = json.strip_prefix('"')?.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some(&json[..end + 2])
}
