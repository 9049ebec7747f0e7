//! The tables by name, and a message as the ledger has it.

use bincode::{BorrowDecode, Encode};

/// The tables. Keys and values are bytes, ordered by key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// The first sequence (8 bytes): messages with neighbouring sequences.
    Packs,
    /// Peer number and block (8 bytes each): the block's deliveries that are pending.
    Owed,
    /// Stamp epoch (16 bytes) and block (8): the block's stamps that were seen.
    Seen,
    /// Peer number and sequence (8 bytes each): attempts of a pending delivery, and whence it was redriven.
    Notes,
    /// Sequence (8 bytes) and peer id: a dead letter with its whole message.
    Dead,
    /// First sequence of a message (8 bytes) and peer id: the sequence that the delivery was last redriven under.
    Redriven,
    /// Block (8 bytes): which of its messages are stored and where packs begin, the earliest expiry, the latest
    /// change. Behind them what there is once a store.
    Blocks,
    /// Commit number (8 bytes): what the commit recorded and settled.
    Journal,
    /// Peer id: the peer.
    Peers,
    /// A word: what there is once a store, in version 1.
    Meta,
    /// Peer id: how many dead letters it has, by the class of their reason.
    DeadCounts,
    /// Run and hash (4 bytes each): a part of the index of the journal.
    Runs,
}

/// What the keys of a table are; an engine may store them as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// A number below 2⁶³, big-endian in 8 bytes.
    Number,
    /// UTF-8.
    Text,
    /// Bytes, at most 136.
    Bytes,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 12] = [
        Self::Packs,
        Self::Owed,
        Self::Seen,
        Self::Notes,
        Self::Dead,
        Self::Redriven,
        Self::Blocks,
        Self::Journal,
        Self::Peers,
        Self::Meta,
        Self::DeadCounts,
        Self::Runs,
    ];

    /// Whether stores of an earlier version lack it, whose rows then are none. The first write makes it.
    #[must_use]
    pub const fn may_be_missing(self) -> bool {
        matches!(self, Self::DeadCounts | Self::Runs | Self::Packs)
    }

    /// Its name in the engine.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Packs => "packs",
            Self::Owed => "owed",
            Self::Seen => "seen",
            Self::Notes => "notes",
            Self::Dead => "dead",
            Self::Redriven => "redriven",
            Self::Blocks => "blocks",
            Self::Journal => "journal",
            Self::Peers => "peers",
            Self::Meta => "meta",
            Self::DeadCounts => "dead_counts",
            Self::Runs => "runs",
        }
    }

    /// What its keys are.
    #[must_use]
    pub const fn keys(self) -> KeyKind {
        match self {
            Self::Packs | Self::Blocks | Self::Journal | Self::Runs => KeyKind::Number,
            Self::DeadCounts | Self::Peers | Self::Meta => KeyKind::Text,
            _ => KeyKind::Bytes,
        }
    }
}

/// A message as it is stored: in a pack, in a dead letter, and in a row of its own in stores of version 1, which
/// [`decode`](Self::decode) reads if the engine has no columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub struct MessageRow<'a> {
    /// Its sequence, 1 to 2⁶³ - 1.
    pub sequence: u64,
    /// The cluster group of the identity.
    pub group: &'a str,
    /// The message id of the identity.
    pub id: &'a str,
    /// The type.
    pub message_type: &'a str,
    /// The key that the message is about.
    pub key: Option<&'a str>,
    /// In milliseconds since the Unix epoch, below 2⁶³.
    pub expires_at: Option<u64>,
    /// In milliseconds since the Unix epoch, below 2⁶³.
    pub received_at: u64,
    /// The peer that it came from.
    pub received_from: &'a str,
    /// The ids of its path, parted by spaces.
    pub path: &'a str,
    /// The outgoing text. It is mostly, but not surely, UTF-8.
    pub text: &'a [u8],
}
