//! What an engine supplies: a few ordered tables, one atomic write at a time, and snapshots to read.
//!
//! An engine knows nothing of peers or deliveries. All its calls block; the threads that make them are in
//! `writer.rs` and `readers.rs`.

use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;

use bincode::{BorrowDecode, Encode};
use slipstream_store::{Defect, Depth, Result};

use crate::opening::{Label, Opening};

/// The tables whose keys and values are bytes, ordered by key. Messages are apart, see [`MessageRow`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
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
    /// Block (8 bytes): which of its messages are stored, the earliest expiry, the latest change.
    Blocks,
    /// Commit number (8 bytes): what the commit recorded and settled.
    Journal,
    /// Peer id: the peer.
    Peers,
    /// A word: what there is once a store.
    Meta,
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
    pub const ALL: [Self; 9] = [
        Self::Owed,
        Self::Seen,
        Self::Notes,
        Self::Dead,
        Self::Redriven,
        Self::Blocks,
        Self::Journal,
        Self::Peers,
        Self::Meta,
    ];

    /// Its name in the engine.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Owed => "owed",
            Self::Seen => "seen",
            Self::Notes => "notes",
            Self::Dead => "dead",
            Self::Redriven => "redriven",
            Self::Blocks => "blocks",
            Self::Journal => "journal",
            Self::Peers => "peers",
            Self::Meta => "meta",
        }
    }

    /// What its keys are.
    #[must_use]
    pub const fn keys(self) -> KeyKind {
        match self {
            Self::Blocks | Self::Journal => KeyKind::Number,
            Self::Peers | Self::Meta => KeyKind::Text,
            _ => KeyKind::Bytes,
        }
    }
}

/// A row of the table of messages. An engine with columns gives each field one; an engine without takes
/// [`encode`](Self::encode) and [`decode`](Self::decode).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub struct MessageRow<'a> {
    /// The key of the row, 1 to 2⁶³ - 1.
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

/// One change to the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write<'a> {
    /// Adds a message. Its sequence is above every earlier one.
    Message(MessageRow<'a>),
    /// Removes the messages from `first` to `last`, both included, where they are there.
    RemoveMessages {
        /// The first sequence.
        first: u64,
        /// The last sequence.
        last: u64,
    },
    /// Writes a row, over the one that is there.
    Put {
        /// Where.
        table: Table,
        /// Under which key.
        key: &'a [u8],
        /// What.
        value: &'a [u8],
    },
    /// Removes a row, where it is there.
    Remove {
        /// Where.
        table: Table,
        /// Under which key.
        key: &'a [u8],
    },
}

/// Whether a visit wants the next row.
pub type Visited = Result<ControlFlow<()>>;

/// Reading the tables.
pub trait Tables {
    /// The value under this key.
    ///
    /// # Errors
    /// `Corrupted` where the medium gives back what was not written; otherwise as the engine says.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// Shows the rows with keys from `first` to `last`, both included, in ascending order, until `visit` has enough.
    ///
    /// # Errors
    /// As [`get`](Self::get), and what `visit` answers.
    fn scan(
        &self,
        table: Table,
        first: &[u8],
        last: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visited,
    ) -> Result<()>;

    /// Shows the messages from `first` to `last`, both included, in ascending order, until `visit` has enough.
    ///
    /// # Errors
    /// As [`get`](Self::get), and what `visit` answers.
    fn messages(&self, first: u64, last: u64, visit: &mut dyn FnMut(&MessageRow<'_>) -> Visited) -> Result<()>;
}

/// A view on the tables that stays as of one commit for the length of a call.
pub trait Reader: Send + 'static {
    /// Calls `work` once with the tables as of one commit. It never waits for a commit, nor does a commit wait for it.
    ///
    /// # Errors
    /// What `work` answers, or `Busy` where there is no view to be had.
    fn read(&mut self, work: &mut dyn FnMut(&dyn Tables) -> Result<()>) -> Result<()>;

    /// Lets the engine look over its own structures.
    ///
    /// # Errors
    /// Where it could not look; what it finds are defects.
    fn verify(&mut self, depth: Depth) -> Result<Vec<Defect>>;

    /// Writes a copy of the tables, as of one commit and in the smallest form that the engine has, to `target`, synced, with
    /// the label of an opening of its own that is over.
    /// Something is at `target`: an error.
    ///
    /// # Errors
    /// Where it could not be written; what was begun at `target` is removed then.
    fn backup(&mut self, target: &Path) -> Result<()>;
}

/// The tables of an open store, held by the one that writes. Reading through it sees what was written last.
pub trait Engine: Tables + fmt::Debug + Send + Sized + 'static {
    /// How others read.
    type Reader: Reader;

    /// Applies all of `writes`, in order, or none, and returns once they are as durable as the store was opened for.
    ///
    /// # Errors
    /// `Full` or `Busy` where surely nothing was done; `Poisoned` where that is not sure.
    fn apply(&mut self, writes: &[Write<'_>]) -> Result<()>;

    /// Puts the label of an opening into the data, and returns once it is there and synced, also where the store was
    /// opened for less. An engine with a log has it in the data themselves, where the opening is not over; it counts
    /// from then on that there is a log. The label is in none of the tables, and in no copy of them.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    fn set_label(&mut self, opening: Opening) -> Result<()>;

    /// The label that is there.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn label(&self) -> Result<Label>;

    /// Another reader.
    ///
    /// # Errors
    /// Where the engine cannot open one.
    fn reader(&self) -> Result<Self::Reader>;

    /// How many bytes the store takes on the medium.
    ///
    /// # Errors
    /// Where that cannot be found out.
    fn bytes(&self) -> Result<u64>;

    /// Gives a bounded part of the free space back to the medium, where there is much of it. Called after a purge.
    ///
    /// # Errors
    /// As [`apply`](Self::apply); nothing of what is stored is at stake.
    fn reclaim(&mut self) -> Result<()>;

    /// Closes the tables, so that all of them is in their file or folder and nothing that stands beside it counts. All
    /// readers are gone by then.
    ///
    /// # Errors
    /// Where that failed; everything that was applied is durable nevertheless.
    fn close(self) -> Result<()>;
}
