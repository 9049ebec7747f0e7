//! The names that stand in messages and in stores, each valid by construction.

use std::borrow::Borrow;
use std::fmt;

use smol_str::SmolStr;
use ulid::Ulid;

use crate::short_text::ShortText;

/// Why a text is not a name of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {}", self.problem())]
pub struct InvalidId {
    what: &'static str,
    expected: &'static str,
    got: String,
}

impl InvalidId {
    /// Longest part of the offending value that an error repeats, in bytes.
    const SHOWN: usize = 64;

    fn new(what: &'static str, expected: &'static str, text: &str) -> Self {
        let shown: String = text.chars().take(Self::SHOWN).collect();
        let got = match text.len() {
            0 => "an empty text".to_owned(),
            len if len > shown.len() => format!("{shown:?}… ({len} bytes)"),
            _ => format!("{shown:?}"),
        };
        Self { what, expected, got }
    }

    /// What was expected and what was given, for a caller who says itself what the text was to be.
    #[must_use]
    pub fn problem(&self) -> String {
        format!("expected {}, got {}", self.expected, self.got)
    }

    /// What the rule for this kind of name is, in words.
    #[must_use]
    pub fn expected(&self) -> &'static str {
        self.expected
    }
}

const fn is_id_byte(byte: u8) -> bool {
    // Digits and the colon stand together.
    let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    letter | (byte.wrapping_sub(b'0') < 11) | (byte == b'.') | (byte == b'_') | (byte == b'-')
}

/// Whether every byte is of a kind. All are looked at, because that is done many at once.
fn all(text: &str, is: impl Fn(u8) -> bool) -> bool {
    text.bytes().fold(true, |all, byte| all & is(byte))
}

fn is_id(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len()) && all(text, is_id_byte)
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident($text:ty), $what:literal, $expected:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($text);

        impl $name {
            #[doc = concat!("Takes a text that is ", $expected, ".")]
            ///
            /// # Errors
            /// [`InvalidId`] where the text breaks that rule.
            pub fn new(text: impl AsRef<str>) -> std::result::Result<Self, InvalidId> {
                let text = text.as_ref();
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(<$text>::new(text))) } else { Err(InvalidId::new($what, $expected, text)) }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> std::result::Result<Self, InvalidId> {
                Self::new(text)
            }
        }
    };
}

name!(
    /// The id of a relay or an application server. Cloning is cheap.
    PeerId(SmolStr), "peer id", "1 to 128 of A-Z a-z 0-9 . _ : -", |text| is_id(text, PeerId::MAX_BYTES)
);
name!(
    /// The id of a cluster group, the first half of a message's [`Identity`].
    ClusterGroup(SmolStr), "cluster group", "1 to 128 of A-Z a-z 0-9 . _ : -", |text| is_id(text, 128)
);
name!(
    /// A tag that a peer carries and that a message may target.
    Tag(SmolStr), "tag", "1 to 64 of A-Z a-z 0-9 . _ : -", |text| is_id(text, 64)
);
name!(
    /// The id of a message within its cluster group.
    MessageId(ShortText), "message id", "1 to 128 of the ASCII characters ! to ~",
    |text| (1..=128).contains(&text.len()) && all(text, |byte| byte.wrapping_sub(b'!') <= b'~' - b'!')
);
name!(
    /// The type of a message: `SK`, `CMD`, or a custom one.
    MessageType(SmolStr), "type", "an upper-case letter, then up to 31 of A-Z 0-9 _",
    |text| text.len() <= 32
        && text.starts_with(|first: char| first.is_ascii_uppercase())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
);
name!(
    /// The key that a message is about.
    Key(SmolStr), "key", "1 to 1024 bytes of UTF-8", |text| (1..=1024).contains(&text.len())
);

/// What a generated peer id begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GeneratedFor {
    /// A client that named no id.
    Anonymous,
    /// A relay that was given no id.
    Relay,
}

impl PeerId {
    /// Most bytes of a peer id.
    pub const MAX_BYTES: usize = 128;

    /// The id of whoever has none of its own: `anon-` or `relay-`, and a ULID.
    #[must_use]
    pub fn generated(purpose: GeneratedFor, ulid: Ulid) -> Self {
        let prefix = match purpose {
            GeneratedFor::Anonymous => "anon",
            GeneratedFor::Relay => "relay",
        };
        Self(smol_str::format_smolstr!("{prefix}-{ulid}"))
    }
}

impl From<Ulid> for MessageId {
    fn from(ulid: Ulid) -> Self {
        Self(ShortText::new(ulid.array_to_str(&mut [0; ulid::ULID_LEN])))
    }
}

impl MessageType {
    /// Whether the type sets the state of its key (`SK`, `SA`, `SW`), so that a newer message of the key makes an
    /// older one superfluous.
    #[must_use]
    pub fn sets_state(&self) -> bool {
        matches!(self.as_str(), "SK" | "SA" | "SW")
    }
}

impl ClusterGroup {
    /// The cluster group of whoever names none.
    #[must_use]
    pub fn singleton() -> Self {
        Self(SmolStr::new_static("singleton"))
    }
}

impl Default for ClusterGroup {
    fn default() -> Self {
        Self::singleton()
    }
}

/// What makes two messages the same message, whoever brings them and however often.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The cluster group that the id counts in.
    pub group: ClusterGroup,
    /// The message's id within the group.
    pub id: MessageId,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.group, self.id)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_at_their_bounds() {
        assert!(PeerId::new("pi-aws_1.eu:7").is_ok());
        assert!(PeerId::new("a".repeat(128)).is_ok());
        for byte in 0..=0x7f_u8 {
            let known = byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
            let text = format!("a{}z", char::from(byte));
            assert_eq!((PeerId::new(&text).is_ok(), MessageId::new(&text).is_ok()), (known, byte.is_ascii_graphic()));
        }
        for bad in ["", " ", "a b", "a/b", "ä", &"a".repeat(129)] {
            assert!(PeerId::new(bad).is_err(), "{bad:?}");
        }
        assert!(Tag::new("a".repeat(64)).is_ok() && Tag::new("a".repeat(65)).is_err());
        assert!(MessageId::new("!~").is_ok() && MessageId::new("a b").is_err() && MessageId::new("é").is_err());
        assert!(MessageType::new("A_9").is_ok() && MessageType::new(format!("A{}", "B".repeat(31))).is_ok());
        for bad in ["", "a", "9A", "_A", "Ab", &format!("A{}", "B".repeat(32))] {
            assert!(MessageType::new(bad).is_err(), "{bad:?}");
        }
        assert!(Key::new("ö".repeat(512)).is_ok() && Key::new("ö".repeat(513)).is_err() && Key::new("").is_err());
    }

    #[test]
    fn generated_ids_are_valid() {
        let ulid = Ulid::from_parts(u64::MAX, u128::MAX);
        let anonymous = PeerId::generated(GeneratedFor::Anonymous, ulid);
        assert_eq!(PeerId::new(&anonymous).as_ref(), Ok(&anonymous));
        assert_eq!(anonymous.as_str(), format!("anon-{ulid}"));
        assert_eq!(MessageId::new(ulid.to_string()), Ok(ulid.into()));
    }

    #[test]
    fn an_error_names_the_kind_the_rule_and_a_bounded_part_of_the_value() {
        let error = PeerId::new("x y".repeat(1000)).unwrap_err().to_string();
        assert!(error.starts_with("peer id: expected 1 to 128 of"), "{error}");
        assert!(error.contains("3000 bytes") && error.len() < 200, "{error}");
        let problem = Tag::new("").unwrap_err().problem();
        assert_eq!(problem, "expected 1 to 64 of A-Z a-z 0-9 . _ : -, got an empty text");
    }
}
