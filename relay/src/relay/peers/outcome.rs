//! What became of what an operator wanted of a peer.

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
