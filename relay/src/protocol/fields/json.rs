//! Pieces of JSON text, which is known to be valid.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

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
    if memchr(b'\\', inner.as_bytes()).is_some() {
        serde_json::from_str(json).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// The JSON text of the string that this text begins with, if it begins with one.
pub(super) fn string_at(json: &str) -> Option<&str> {
    let inner = json.strip_prefix('"')?.as_bytes();
    let mut end = 0;
    loop {
        end += memchr2(b'"', b'\\', &inner[end..])?;
        if inner[end] == b'"' {
            return Some(&json[..end + 2]);
        }
        // Whatever is escaped ends no string.
        end = (end + 2).min(inner.len());
    }
}
