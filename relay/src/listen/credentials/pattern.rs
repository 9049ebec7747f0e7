//! The ids or the tags that a credential is for.

use std::fmt;
use std::sync::Arc;

use slipstream_store::{PeerId, Tag};

/// One name, or all names that begin alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// The name, or what the names begin with.
    text: Arc<str>,
    is_prefix: bool,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct InvalidPattern(&'static str);

impl Pattern {
    /// Reads an id, `shop-1`, or the beginning of ids and a `*`, `shop-*`. `*` alone is every id, and none at all.
    ///
    /// # Errors
    /// What was expected, in words.
    pub fn id(text: &str) -> Result<Self, InvalidPattern> {
        Self::read(text, |name| PeerId::new(name).is_ok()).ok_or(InvalidPattern(
            "an id such as `shop-1`, the beginning of ids and a `*` such as `shop-*`, or `*` for every id",
        ))
    }

    /// Reads a tag, `aws`, or the beginning of tags and a `*`, `aws-*`. `*` alone is every tag.
    ///
    /// # Errors
    /// What was expected, in words.
    pub fn tag(text: &str) -> Result<Self, InvalidPattern> {
        Self::read(text, |name| Tag::new(name).is_ok()).ok_or(InvalidPattern(
            "tags such as `aws`, the beginning of tags and a `*` such as `aws-*`, or `*` for every tag",
        ))
    }

    fn read(text: &str, is_name: fn(&str) -> bool) -> Option<Self> {
        let (name, is_prefix) = match text.strip_suffix('*') {
            Some(beginning) => (beginning, true),
            None => (text, false),
        };
        (is_name(name) || is_prefix && name.is_empty()).then(|| Self { text: name.into(), is_prefix })
    }

    /// Whether it is for this name.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        if self.is_prefix { name.starts_with(&*self.text) } else { name == &*self.text }
    }

    /// The name, if it is for one alone.
    #[must_use]
    pub fn exact(&self) -> Option<&str> {
        (!self.is_prefix).then_some(&self.text)
    }

    /// Whether it is for every name.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.is_prefix && self.text.is_empty()
    }
}

/// As it is read.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.text, if self.is_prefix { "*" } else { "" })
    }
}
