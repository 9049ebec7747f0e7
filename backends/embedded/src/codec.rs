//! The rows as bytes. The only place that knows bincode; what it writes stays readable for ever.
//!
//! A row is one byte that names the format and then its fields, integers in bincode's variable length. Trailing
//! bytes are refused, and so is a row that is larger than [`LIMIT`].

use bincode::config::{Configuration, LittleEndian, Limit, Varint};
use bincode::{BorrowDecode, Encode};
use slipstream_store::{Result, StoreError};

use crate::engine::MessageRow;

/// The format that is written.
const FORMAT: u8 = 1;

/// The largest row, in bytes. Decoding never reserves more.
const LIMIT: usize = 1 << 30;

const CONFIG: Configuration<LittleEndian, Varint, Limit<LIMIT>> =
    bincode::config::standard().with_limit::<LIMIT>();

/// A block's pending deliveries of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub(crate) struct OwedRow {
    pub(crate) bits: [u8; 128],
}

/// A block's stamps of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub(crate) struct SeenRow {
    pub(crate) bits: [u8; 128],
    /// The latest time at which a message with one of them was received.
    pub(crate) latest: u64,
}

/// What is special about a pending delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, BorrowDecode)]
pub(crate) struct NoteRow {
    pub(crate) attempts: u32,
    pub(crate) last_attempt_at: Option<u64>,
    /// The sequence that the message was recorded under, where the delivery was redriven.
    pub(crate) origin: Option<u64>,
}

/// A dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub(crate) struct DeadRow<'a> {
    pub(crate) reason: &'a str,
    pub(crate) attempts: u32,
    pub(crate) dead_at: u64,
    /// The sequence that the message was recorded under, where the delivery had been redriven.
    pub(crate) origin: Option<u64>,
    pub(crate) message: MessageRow<'a>,
}

/// The sequence that a delivery was redriven under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub(crate) struct RedrivenRow {
    pub(crate) sequence: u64,
}

/// A block of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub(crate) struct BlockRow {
    pub(crate) stored: [u8; 128],
    pub(crate) earliest_expiry: Option<u64>,
    pub(crate) latest_change: u64,
}

/// A remembered peer.
#[derive(Debug, Clone, PartialEq, Eq, Encode, BorrowDecode)]
pub(crate) struct PeerRow<'a> {
    pub(crate) number: u64,
    pub(crate) relay: bool,
    pub(crate) group: &'a str,
    pub(crate) tags: Vec<&'a str>,
    pub(crate) durable: bool,
    pub(crate) last_seen: u64,
}

/// What there is once a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub(crate) struct MetaRow<'a> {
    pub(crate) next_sequence: u64,
    pub(crate) next_commit: u64,
    pub(crate) next_peer: u64,
    pub(crate) dead_letters: u64,
    pub(crate) journal_bytes: u64,
    pub(crate) identities_from: u64,
    pub(crate) identities_commit: u64,
    pub(crate) relay: Option<&'a str>,
}

/// The row as bytes.
pub(crate) fn encode<T: Encode>(row: &T) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(160);
    bytes.push(FORMAT);
    bincode::encode_into_std_write(row, &mut bytes, CONFIG)
        .map_err(|error| StoreError::Unsupported(format!("a row cannot be written: {error}")))?;
    if bytes.len() > LIMIT {
        return Err(StoreError::Unsupported(format!("a row of {} bytes: expected at most {LIMIT}", bytes.len())));
    }
    Ok(bytes)
}

/// The row that `bytes` are; `what` says in an error which one that is.
pub(crate) fn decode<'a, T: BorrowDecode<'a, ()>>(bytes: &'a [u8], what: &str) -> Result<T> {
    let Some((&format, rest)) = bytes.split_first() else {
        return Err(StoreError::Corrupted(format!("{what}: expected a row, got nothing")));
    };
    if format != FORMAT {
        return Err(StoreError::Unsupported(format!("{what}: expected row format {FORMAT}, got {format}")));
    }
    match bincode::borrow_decode_from_slice(rest, CONFIG) {
        Ok((row, length)) if length == rest.len() => Ok(row),
        Ok((_, length)) => {
            Err(StoreError::Corrupted(format!("{what}: {} bytes follow the row", rest.len() - length)))
        }
        Err(error) => Err(StoreError::Corrupted(format!("{what}: {error}"))),
    }
}

impl<'a> MessageRow<'a> {
    /// The row as bytes, for an engine without columns.
    ///
    /// # Errors
    /// `Unsupported` where it is larger than 1 GiB.
    pub fn encode(&self) -> Result<Vec<u8>> {
        encode(self)
    }

    /// The row that [`encode`](Self::encode) made these bytes of.
    ///
    /// # Errors
    /// `Corrupted` where they are not such bytes; `Unsupported` where their format is not known.
    pub fn decode(bytes: &'a [u8]) -> Result<Self> {
        decode(bytes, "a message")
    }
}
