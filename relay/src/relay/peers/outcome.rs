//! What became of what an operator wanted of a peer.

use std::fmt;

/// What became of a wish to forget a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgotten {
    /// It is forgotten, and so is what it was owed. Its dead letters stay.
    Forgotten {
        /// How many deliveries it was owed.
        owed: u64,
    },
    /// Nobody is remembered under this id.
    Unknown,
    /// It has a link, or had one just now.
    Linked,
    /// The configuration names it: it would be remembered again at the next start.
    Configured,
}

/// What became of a wish to declare a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declared {
    /// Messages that match are held for it from now on.
    New,
    /// It was known. It has these tags and this group from now on, until it links and says otherwise.
    Changed,
    /// It has a link, and says itself what it is.
    Linked,
    /// It is a relay, not an application.
    Relay,
    /// The configuration says what it is, or the id is the relay's own.
    Configured,
}

/// In words, as an audit log has it.
impl fmt::Display for Forgotten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forgotten { owed } => write!(f, "done, {owed} deliveries were owed"),
            Self::Unknown => f.write_str("no such peer"),
            Self::Linked => f.write_str("refused, it has a link"),
            Self::Configured => f.write_str("refused, it is configured"),
        }
    }
}

/// In words, as an audit log has it.
impl fmt::Display for Declared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "done, it is new",
            Self::Changed => "done, it was known",
            Self::Linked => "refused, it has a link",
            Self::Relay => "refused, it is a relay",
            Self::Configured => "refused, it is configured",
        })
    }
}
