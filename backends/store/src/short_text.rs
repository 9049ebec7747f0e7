//! A text that is mostly short: up to [`INLINE`] bytes of it need no memory of their own.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrayvec::ArrayString;

/// The longest text that stands in the value itself, in bytes: a ULID has 26, and a value takes 40 in all.
const INLINE: usize = 32;

/// A text, compared and hashed as `str` is. Cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) enum ShortText {
    Inline(ArrayString<INLINE>),
    Shared(Arc<str>),
}

impl ShortText {
    pub(crate) fn new(text: &str) -> Self {
        ArrayString::from(text).map_or_else(|_| Self::Shared(text.into()), Self::Inline)
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Inline(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl PartialEq for ShortText {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for ShortText {}

impl PartialOrd for ShortText {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ShortText {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for ShortText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher as _, RandomState};

    use super::*;

    #[test]
    fn a_text_is_the_same_whether_it_is_short_or_not() {
        assert!(size_of::<ShortText>() <= 40);
        let state = RandomState::new();
        for len in [1, INLINE - 1, INLINE, INLINE + 1, 128] {
            let text = "x".repeat(len);
            let short = ShortText::new(&text);
            assert_eq!((short.as_str(), matches!(short, ShortText::Inline(_))), (text.as_str(), len <= INLINE));
            assert_eq!((&short, state.hash_one(&short)), (&short.clone(), state.hash_one(text.as_str())));
            assert!(short < ShortText::new(&format!("{text}a")) && short != ShortText::new(&"y".repeat(len)));
        }
    }
}
