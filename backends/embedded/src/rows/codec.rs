//! The rows as bytes. The only place that knows bincode; what it writes stays readable for ever.
//!
//! A row is one byte that names the format and then its fields, integers in bincode's variable length. Trailing
//! bytes are refused, and so is a row that is larger than [`LIMIT`].

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::{BorrowDecode, Encode};
use slipstream_store::{Result, StoreError};

use crate::rows::journal::{JournalFormat, JournalRow, Recorded, Stamped};
use crate::rows::table::MessageRow;

/// The format of every row but those that have a later one.
const FORMAT: u8 = 1;

/// The format of what there is once a store, since dead letters are counted by peer.
const FORMAT_COUNTED: u8 = 2;

/// The format of what there is once a store, since there is an index of the journal, too.
const FORMAT_INDEXED: u8 = 3;

/// The format of what there is once a store, since a dead letter was imported, too: earlier versions cannot read the
/// journal then.
const FORMAT_WITH_IMPORTS: u8 = 4;

/// The format of a peer's row that has an alias.
const FORMAT_WITH_ALIAS: u8 = 2;

/// The format of a peer's row whose deliveries are paused.
const FORMAT_PAUSED: u8 = 3;

/// The format of what there is once a store, since a message was recorded with its epoch, too: earlier versions cannot read
/// the journal then.
const FORMAT_WITH_EPOCHS: u8 = 5;

/// The format of a row of the journal that tells of imported dead letters.
const FORMAT_IMPORTED: u8 = 2;

/// The format of a row of the journal that tells of stamped messages.
const FORMAT_STAMPED: u8 = 3;

/// The format of a row of a block of messages that has packs.
const FORMAT_PACKED: u8 = 2;

/// The largest row, in bytes. Decoding never reserves more.
pub(crate) const LIMIT: usize = 1 << 30;

const CONFIG: Configuration<LittleEndian, Varint, Limit<LIMIT>> = bincode::config::standard().with_limit::<LIMIT>();

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
    /// The sequence that the message was recorded under, if the delivery was redriven.
    pub(crate) origin: Option<u64>,
}

/// A dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub(crate) struct DeadRow<'a> {
    pub(crate) reason: &'a str,
    pub(crate) attempts: u32,
    pub(crate) dead_at: u64,
    /// The sequence that the message was recorded under, if the delivery had been redriven.
    pub(crate) origin: Option<u64>,
    pub(crate) message: MessageRow<'a>,
}

/// How many dead letters a peer has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, BorrowDecode)]
pub(crate) struct DeadCountsRow<'a> {
    pub(crate) classes: Vec<DeadCount<'a>>,
}

/// How many of them have reasons of one class, at least one, and the latest time at which one was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub(crate) struct DeadCount<'a> {
    pub(crate) class: &'a str,
    pub(crate) count: u64,
    pub(crate) newest: u64,
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

/// A remembered peer that has an alias.
#[derive(Debug, Clone, PartialEq, Eq, Encode, BorrowDecode)]
struct AliasedPeerRow<'a> {
    peer: PeerRow<'a>,
    alias: &'a str,
}

/// A remembered peer whose deliveries are paused.
#[derive(Debug, Clone, PartialEq, Eq, Encode, BorrowDecode)]
struct PausedPeerRow<'a> {
    peer: PeerRow<'a>,
    alias: Option<&'a str>,
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

/// Which commits of the journal are in its index, and in which runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub(crate) struct IndexRow {
    /// The commits before this one are older than the index.
    pub(crate) from: u64,
    /// The commits before this one are in a run, if they are not older.
    pub(crate) to: u64,
    pub(crate) first_run: u64,
    pub(crate) next_run: u64,
    /// Messages that were recorded before this sequence may have no record: it left the journal for its size.
    pub(crate) whole_from: u64,
}

/// What there is once a store that has an index of the journal.
///
/// A program that has none would leave it wrong, and one that does not count dead letters by peer the counts; it does not
/// know this format, and says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
struct IndexedMetaRow<'a> {
    meta: MetaRow<'a>,
    index: IndexRow,
}

/// What there is once a store, of whatever version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meta<'a> {
    pub(crate) row: MetaRow<'a>,
    /// Whether dead letters are counted by peer.
    pub(crate) is_counted: bool,
    pub(crate) index: Option<IndexRow>,
    /// The latest format that a row of the journal has had.
    pub(crate) journal: JournalFormat,
}

/// The row as bytes.
pub(crate) fn encode<T: Encode>(row: &T) -> Result<Vec<u8>> {
    encode_as(FORMAT, row)
}

/// A peer as bytes, in the oldest format that has all there is to say.
pub(crate) fn encode_peer(peer: PeerRow<'_>, alias: Option<&str>, paused: bool) -> Result<Vec<u8>> {
    match (alias, paused) {
        (None, false) => encode(&peer),
        (Some(alias), false) => encode_as(FORMAT_WITH_ALIAS, &AliasedPeerRow { peer, alias }),
        (alias, true) => encode_as(FORMAT_PAUSED, &PausedPeerRow { peer, alias }),
    }
}

/// A block of messages as bytes, in the oldest format that has all there is to say. `packs` are the sequences at which
/// one begins.
pub(crate) fn encode_block(row: &BlockRow, packs: &[u8; 128]) -> Result<Vec<u8>> {
    if packs == &[0; 128] { encode(row) } else { encode_as(FORMAT_PACKED, &(row, packs)) }
}

/// A row of the journal as bytes, in the oldest format that has all there is to say.
pub(crate) fn encode_journal(row: &JournalRow<'_>) -> Result<Vec<u8>> {
    match row.format() {
        JournalFormat::Plain => encode(row),
        JournalFormat::Imports => encode_as(FORMAT_IMPORTED, &(row, &row.imported)),
        JournalFormat::Stamps => encode_as(FORMAT_STAMPED, &(row, &row.imported, &row.stamped)),
    }
}

/// What there is once a store as bytes, in the oldest format that has an index and all there is to say.
pub(crate) fn encode_meta(meta: MetaRow<'_>, index: IndexRow, journal: JournalFormat) -> Result<Vec<u8>> {
    let format = match journal {
        JournalFormat::Plain => FORMAT_INDEXED,
        JournalFormat::Imports => FORMAT_WITH_IMPORTS,
        JournalFormat::Stamps => FORMAT_WITH_EPOCHS,
    };
    encode_as(format, &IndexedMetaRow { meta, index })
}

fn encode_as<T: Encode>(format: u8, row: &T) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(160);
    bytes.push(format);
    encode_into(row, &mut bytes)?;
    if bytes.len() > LIMIT {
        return Err(StoreError::Unsupported(format!("a row of {} bytes: expected at most {LIMIT}", bytes.len())));
    }
    Ok(bytes)
}

/// Adds the fields of a part of a row, without a format.
pub(crate) fn encode_into<T: Encode>(part: &T, bytes: &mut Vec<u8>) -> Result<()> {
    let encoded = bincode::encode_into_std_write(part, bytes, CONFIG);
    encoded.map(drop).map_err(|error| StoreError::Unsupported(format!("a row cannot be written: {error}")))
}

/// The row that `bytes` are; `what` says in an error which one that is.
pub(crate) fn decode<'a, T: BorrowDecode<'a, ()>>(bytes: &'a [u8], what: &str) -> Result<T> {
    let Some((&format, rest)) = bytes.split_first() else {
        return Err(StoreError::Corrupted(format!("{what}: expected a row, got nothing")));
    };
    if format != FORMAT {
        return Err(StoreError::Unsupported(format!("{what}: expected row format {FORMAT}, got {format}")));
    }
    decode_fields(rest, what)
}

/// The peer that `bytes` are, its alias, and whether it is paused.
pub(crate) fn decode_peer(bytes: &[u8]) -> Result<(PeerRow<'_>, Option<&str>, bool)> {
    match bytes.split_first() {
        Some((&FORMAT_WITH_ALIAS, rest)) => {
            let AliasedPeerRow { peer, alias } = decode_fields(rest, "a peer")?;
            Ok((peer, Some(alias), false))
        }
        Some((&FORMAT_PAUSED, rest)) => {
            let PausedPeerRow { peer, alias } = decode_fields(rest, "a peer")?;
            Ok((peer, alias, true))
        }
        _ => Ok((decode(bytes, "a peer")?, None, false)),
    }
}

/// The block of messages that `bytes` are, and the sequences at which a pack begins.
pub(crate) fn decode_block(bytes: &[u8]) -> Result<(BlockRow, [u8; 128])> {
    const WHAT: &str = "a block of messages";
    match bytes.split_first() {
        Some((&FORMAT_PACKED, rest)) => decode_fields(rest, WHAT),
        _ => Ok((decode(bytes, WHAT)?, [0; 128])),
    }
}

/// The row of the journal that `bytes` are.
pub(crate) fn decode_journal(bytes: &[u8]) -> Result<JournalRow<'_>> {
    const WHAT: &str = "a journal row";
    match bytes.split_first() {
        Some((&FORMAT_IMPORTED, rest)) => {
            let (row, imported): (JournalRow<'_>, Vec<Recorded<'_>>) = decode_fields(rest, WHAT)?;
            Ok(JournalRow { imported, ..row })
        }
        Some((&FORMAT_STAMPED, rest)) => {
            let (row, imported, stamped): (JournalRow<'_>, Vec<Recorded<'_>>, Vec<Stamped>) =
                decode_fields(rest, WHAT)?;
            Ok(JournalRow { imported, stamped, ..row })
        }
        _ => decode(bytes, WHAT),
    }
}

/// What there is once a store, also if an earlier version wrote it.
pub(crate) fn decode_meta(bytes: &[u8]) -> Result<Meta<'_>> {
    const WHAT: &str = "the ledger's counters";
    let indexed = |rest, journal| {
        let IndexedMetaRow { meta: row, index } = decode_fields(rest, WHAT)?;
        Ok(Meta { row, is_counted: true, index: Some(index), journal })
    };
    let unindexed = |row, is_counted| Meta { row, is_counted, index: None, journal: JournalFormat::Plain };
    match bytes.split_first() {
        Some((&FORMAT_WITH_EPOCHS, rest)) => indexed(rest, JournalFormat::Stamps),
        Some((&FORMAT_WITH_IMPORTS, rest)) => indexed(rest, JournalFormat::Imports),
        Some((&FORMAT_INDEXED, rest)) => indexed(rest, JournalFormat::Plain),
        Some((&FORMAT_COUNTED, rest)) => Ok(unindexed(decode_fields(rest, WHAT)?, true)),
        _ => Ok(unindexed(decode(bytes, WHAT)?, false)),
    }
}

fn decode_fields<'a, T: BorrowDecode<'a, ()>>(rest: &'a [u8], what: &str) -> Result<T> {
    match decode_from(rest, what)? {
        (row, length) if length == rest.len() => Ok(row),
        (_, length) => Err(StoreError::Corrupted(format!("{what}: {} bytes follow the row", rest.len() - length))),
    }
}

/// The part of a row that `bytes` begin with, and how many of them it takes.
pub(crate) fn decode_from<'a, T: BorrowDecode<'a, ()>>(bytes: &'a [u8], what: &str) -> Result<(T, usize)> {
    let decoded = bincode::borrow_decode_from_slice(bytes, CONFIG);
    decoded.map_err(|error| StoreError::Corrupted(format!("{what}: {error}")))
}

impl<'a> MessageRow<'a> {
    /// The message that a row of a store of version 1 has, if the engine has no columns.
    ///
    /// # Errors
    /// `Corrupted` if they are not such bytes; `Unsupported` if their format is not known.
    pub fn decode(bytes: &'a [u8]) -> Result<Self> {
        decode(bytes, "a message")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTE: NoteRow = NoteRow { attempts: 3, last_attempt_at: Some(1_000), origin: None };

    const MESSAGE: MessageRow<'static> = MessageRow {
        sequence: 300,
        group: "g",
        id: "m1",
        message_type: "SK",
        key: Some("k"),
        expires_at: None,
        received_at: 7,
        received_from: "a",
        path: "a b",
        text: b"{}",
    };

    #[test]
    fn what_was_written_stays_readable() {
        // Bytes of format 1, as they are on people's disks. They may never change; a new format has a new number.
        assert_eq!(encode(&NOTE).unwrap(), [1, 3, 1, 251, 232, 3, 0]);
        let message = [
            1, 251, 44, 1, 1, b'g', 2, b'm', b'1', 2, b'S', b'K', 1, 1, b'k', 0, 7, 1, b'a', 3, b'a', b' ', b'b', 2,
            b'{', b'}',
        ];
        assert_eq!(encode(&MESSAGE).unwrap(), message);
        assert_eq!(MessageRow::decode(&message).unwrap(), MESSAGE);
        let meta = MetaRow {
            next_sequence: 1,
            next_commit: 2,
            next_peer: 3,
            dead_letters: 4,
            journal_bytes: 5,
            identities_from: 6,
            identities_commit: 7,
            relay: Some("r"),
        };
        assert_eq!(encode(&meta).unwrap(), [1, 1, 2, 3, 4, 5, 6, 7, 1, 1, b'r']);
        let plain = Meta { row: meta, is_counted: false, index: None, journal: JournalFormat::Plain };
        assert_eq!(decode_meta(&encode(&meta).unwrap()), Ok(plain));
        let counted = [2, 1, 2, 3, 4, 5, 6, 7, 1, 1, b'r'];
        assert_eq!(decode_meta(&counted), Ok(Meta { is_counted: true, ..plain }));
        let index = IndexRow { from: 11, to: 12, first_run: 13, next_run: 14, whole_from: 15 };
        let indexed = encode_meta(meta, index, JournalFormat::Plain).unwrap();
        assert_eq!(indexed, [3, 1, 2, 3, 4, 5, 6, 7, 1, 1, b'r', 11, 12, 13, 14, 15]);
        assert_eq!(decode_meta(&indexed), Ok(Meta { is_counted: true, index: Some(index), ..plain }));
        for (format, journal) in [(4, JournalFormat::Imports), (5, JournalFormat::Stamps)] {
            let later = encode_meta(meta, index, journal).unwrap();
            assert_eq!((later[0], &later[1..]), (format, &indexed[1..]));
            let expected = Meta { is_counted: true, index: Some(index), journal, ..plain };
            assert_eq!(decode_meta(&later), Ok(expected));
        }
        // A program that knows no index says so.
        let refused = decode::<MetaRow<'_>>(&indexed, "the ledger's counters");
        let text = "the ledger's counters: expected row format 1, got 3".to_owned();
        assert_eq!(refused, Err(StoreError::Unsupported(text)));
    }

    #[test]
    fn a_peer_has_a_format_of_its_own_for_each_thing_that_was_added() {
        let row = || PeerRow { number: 3, relay: true, group: "g", tags: vec!["x", "yz"], durable: true, last_seen: 9 };
        // These are on people's disks, also from before there were aliases and pauses.
        let fields = [3, 1, 1, b'g', 2, 1, b'x', 2, b'y', b'z', 1, 9];
        for (format, alias, paused, last) in [
            (1, None, false, &[][..]),
            (2, Some("url"), false, &[3, b'u', b'r', b'l']),
            (3, None, true, &[0]),
            (3, Some("url"), true, &[1, 3, b'u', b'r', b'l']),
        ] {
            let bytes = [&[format], &fields[..], last].concat();
            assert_eq!(encode_peer(row(), alias, paused).unwrap(), bytes);
            assert_eq!(decode_peer(&bytes).unwrap(), (row(), alias, paused));
            let long = [&bytes[..], &[0]].concat();
            assert!(matches!(decode_peer(&long), Err(StoreError::Corrupted(_))));
        }
        let later = [&[4], &fields[..]].concat();
        assert!(matches!(decode_peer(&later), Err(StoreError::Unsupported(_))));
        assert!(matches!(decode_peer(&[]), Err(StoreError::Corrupted(_))));
    }

    #[test]
    fn a_row_of_the_journal_has_another_format_only_with_imports_or_stamps() {
        let recorded = Recorded {
            sequence: 5,
            group: 0,
            id: "m1",
            fingerprint: 6,
            message_type: 1,
            key: None,
            received_at: 7,
            route: 0,
        };
        let row = JournalRow { latest: 7, names: vec!["g", "SK"], recorded: vec![recorded], ..JournalRow::default() };
        // Both are on people's disks.
        let fields = [7, 2, 1, b'g', 2, b'S', b'K', 0, 1, 5, 0, 2, b'm', b'1', 6, 1, 0, 7, 0, 0, 0];
        let plain = [&[1], &fields[..]].concat();
        assert_eq!(encode_journal(&row).unwrap(), plain);
        assert_eq!(decode_journal(&plain), Ok(row.clone()));
        let importing = JournalRow { imported: row.recorded.clone(), ..row };
        let bytes = [&[2], &fields[..], &[1, 5, 0, 2, b'm', b'1', 6, 1, 0, 7, 0]].concat();
        assert_eq!(encode_journal(&importing).unwrap(), bytes);
        assert_eq!(decode_journal(&bytes), Ok(importing.clone()));
        // A program that knows no imports says so.
        let text = "a journal row: expected row format 1, got 2".to_owned();
        assert_eq!(decode::<JournalRow<'_>>(&bytes, "a journal row"), Err(StoreError::Unsupported(text)));
        let stamped = Stamped { epoch: *b"0123456789abcdef", runs: [5].into_iter().collect() };
        let stamping = JournalRow { stamped: vec![stamped], imported: Vec::new(), ..importing };
        let bytes = [&[3], &fields[..], &[0, 1], b"0123456789abcdef", &[1, 5, 1]].concat();
        assert_eq!(encode_journal(&stamping).unwrap(), bytes);
        assert_eq!(decode_journal(&bytes), Ok(stamping));
        for length in 0..bytes.len() {
            assert!(matches!(decode_journal(&bytes[..length]), Err(StoreError::Corrupted(_))), "{length}");
        }
    }

    #[test]
    fn a_block_is_its_128_bytes() {
        let bits: [u8; 128] = std::array::from_fn(|index| u8::try_from(index).unwrap());
        let bytes = encode(&OwedRow { bits }).unwrap();
        assert_eq!((bytes.len(), bytes[0], &bytes[1..]), (129, 1, &bits[..]));
    }

    #[test]
    fn what_is_not_a_row_is_refused() {
        let good = encode(&NOTE).unwrap();
        assert_eq!(decode::<NoteRow>(&good, "a note"), Ok(NOTE));
        for length in 0..good.len() {
            assert!(matches!(decode::<NoteRow>(&good[..length], "a note"), Err(StoreError::Corrupted(_))), "{length}");
        }
        let long = [&good[..], &[0]].concat();
        assert!(matches!(decode::<NoteRow>(&long, "a note"), Err(StoreError::Corrupted(_))));
        let other = [&[2], &good[1..]].concat();
        assert!(matches!(decode::<NoteRow>(&other, "a note"), Err(StoreError::Unsupported(_))));
        // A length that lies reserves nothing.
        let lying = [&[FORMAT, 1, 253][..], &[0xFF; 8]].concat();
        assert!(matches!(decode::<MessageRow<'_>>(&lying, "a message"), Err(StoreError::Corrupted(_))));
    }
}
