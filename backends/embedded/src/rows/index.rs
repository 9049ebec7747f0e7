//! The index of the journal: which of its rows tell of a message.
//!
//! An entry is a hash and a commit. The hash is that of an identity, which the commit's row records, or that of a group of
//! neighbouring sequences, of whose deliveries the row tells. It has 32 bits: an entry says where to look, and the journal
//! says what is there. Entries are written in *runs*: when enough have gathered, they are sorted by hash and cut into rows
//! of a page. So nothing at random places is written with a message, and looking something up reads one row of each run.

use slipstream_store::{Result, StoreError};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::rows::journal::JournalRow;
use crate::rows::keys;

/// How many neighbouring sequences share a hash.
const GROUP: u64 = 16;

/// As many entries of a row fit a page of 4 KiB in every engine. A row may have more if their hashes are the same.
pub(crate) const ROW_ENTRIES: usize = 500;

/// The format of a row of a run.
const FORMAT: u8 = 1;

/// More groups than deliveries of one peer that a row settles together can be in: a damaged row is not walked for ever.
const MOST_GROUPS: u64 = 1 << 20;

/// An entry of a run: a hash, and how many commits after the first of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) hash: u32,
    pub(crate) offset: u32,
}

/// The hash of an identity.
pub(crate) fn of_identity(group: &str, id: &str) -> u32 {
    of_id(seed_of(group), id)
}

fn seed_of(group: &str) -> u64 {
    xxh3_64(group.as_bytes())
}

fn of_id(seed: u64, id: &str) -> u32 {
    upper(xxh3_64_with_seed(id.as_bytes(), seed))
}

/// The hash of the deliveries of a message, which it shares with its neighbours.
pub(crate) fn of_deliveries(sequence: u64) -> u32 {
    of_group(sequence / GROUP)
}

fn of_group(group: u64) -> u32 {
    upper(xxh3_64(&group.to_be_bytes()))
}

fn upper(hash: u64) -> u32 {
    let [a, b, c, d, ..] = hash.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// The hashes under which a row of the journal is found, in no order. All it settles was recorded below `next_sequence`.
pub(crate) fn hashes(row: &JournalRow<'_>, next_sequence: u64) -> Result<Vec<u32>> {
    let mut groups: Vec<u64> = row.redriven.iter().map(|redriven| redriven.origin / GROUP).collect();
    for settled in &row.settled {
        if let Some(origin) = settled.origin {
            groups.push(origin / GROUP);
            continue;
        }
        for (first, count) in settled.runs.iter() {
            let end = first.saturating_add(count);
            let (first, last) = (first / GROUP, end.saturating_sub(1) / GROUP);
            // Otherwise it is damaged, which a check says.
            if count > 0 && end <= next_sequence && last - first < MOST_GROUPS {
                groups.extend(first..=last);
            }
        }
    }
    groups.sort_unstable();
    groups.dedup();
    let mut hashes: Vec<u32> = Vec::with_capacity(groups.len() + row.recorded.len() + row.imported.len());
    hashes.extend(groups.into_iter().map(of_group));
    // Neighbours mostly share their cluster group.
    for recorded in row.recorded.chunk_by(|one, next| one.group == next.group) {
        let Some(first) = recorded.first() else { continue };
        let seed = seed_of(row.name(first.group)?);
        hashes.extend(recorded.iter().map(|recorded| of_id(seed, recorded.id)));
    }
    for imported in &row.imported {
        hashes.push(of_identity(row.name(imported.group)?, imported.id));
    }
    Ok(hashes)
}

/// The key of the row of a run that ends with this hash; of the last row of a run, the largest hash that there is.
pub(crate) fn key(run: u64, hash: u32) -> Vec<u8> {
    keys::number((run << 32) | u64::from(hash))
}

/// The run and the hash of a key.
pub(crate) fn split_key(key: &[u8]) -> Option<(u64, u32)> {
    let number = keys::first_number(key)?;
    Some((number >> 32, u32::try_from(number & u64::from(u32::MAX)).ok()?))
}

/// Where the row of so many entries ends that begins at `from`, and the hash that it is under.
pub(crate) fn cut(entries: &[Entry], from: usize, many: usize) -> (usize, u32) {
    let mut end = (from + many).min(entries.len());
    while end < entries.len() && entries[end].hash == entries[end - 1].hash {
        end += 1;
    }
    (end, if end == entries.len() { u32::MAX } else { entries[end - 1].hash })
}

/// A row of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunRow<'a> {
    /// The first and the last commit of the run.
    pub(crate) first: u64,
    pub(crate) last: u64,
    entries: &'a [[u8; 8]],
}

/// A row of a run, of these commits, as bytes.
pub(crate) fn encode(first: u64, last: u64, entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(17 + 8 * entries.len());
    bytes.push(FORMAT);
    bytes.extend(first.to_be_bytes());
    bytes.extend(last.to_be_bytes());
    for entry in entries {
        bytes.extend(entry.hash.to_be_bytes());
        bytes.extend(entry.offset.to_be_bytes());
    }
    bytes
}

impl<'a> RunRow<'a> {
    /// The row that [`encode`] made these bytes of.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self> {
        let damaged = |what: &str| StoreError::Corrupted(format!("a row of the index of the journal {what}"));
        let Some((&format, rest)) = bytes.split_first() else { return Err(damaged("is empty")) };
        if format != FORMAT {
            let text = format!("the index of the journal: expected row format {FORMAT}, got {format}");
            return Err(StoreError::Unsupported(text));
        }
        let Some((first, rest)) = rest.split_first_chunk() else { return Err(damaged("is cut short")) };
        let Some((last, rest)) = rest.split_first_chunk() else { return Err(damaged("is cut short")) };
        let (entries, []) = rest.as_chunks() else { return Err(damaged("ends within an entry")) };
        let (first, last) = (u64::from_be_bytes(*first), u64::from_be_bytes(*last));
        if first > last || last > i64::MAX.unsigned_abs() {
            return Err(damaged(&format!("is of the commits {first} to {last}")));
        }
        Ok(Self { first, last, entries })
    }

    /// The row as bytes.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let entries = self.entries.iter().map(|bytes| Entry { hash: hash_of(bytes), offset: offset_of(bytes) });
        Ok(encode(self.first, self.last, &entries.collect::<Vec<_>>()))
    }

    /// Its hashes and their commits, in order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (u32, u64)> {
        self.entries.iter().map(|bytes| (hash_of(bytes), self.commit_of(bytes)))
    }

    /// The commits that have this hash.
    pub(crate) fn commits(&self, hash: u32) -> impl Iterator<Item = u64> {
        let from = self.entries.partition_point(|bytes| hash_of(bytes) < hash);
        let found = self.entries[from..].iter().take_while(move |bytes| hash_of(bytes) == hash);
        found.map(|bytes| self.commit_of(bytes))
    }

    fn commit_of(&self, bytes: &[u8; 8]) -> u64 {
        self.first.saturating_add(u64::from(offset_of(bytes)))
    }
}

fn offset_of([.., a, b, c, d]: &[u8; 8]) -> u32 {
    u32::from_be_bytes([*a, *b, *c, *d])
}

fn hash_of([a, b, c, d, ..]: &[u8; 8]) -> u32 {
    u32::from_be_bytes([*a, *b, *c, *d])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::journal::{Recorded, Redriven, Settled};

    #[test]
    fn hashes_never_change() {
        // They are on people's disks.
        assert_eq!([0, 15, 16].map(of_deliveries), [3_346_741_947, 3_346_741_947, 4_083_894_810]);
        assert_eq!([of_identity("g", "m1"), of_identity("m1", "g")], [486_682_779, 1_300_178_872]);
    }

    #[test]
    fn a_row_is_found_under_all_that_it_tells() {
        let settled = |origin, runs| Settled { peer: 0, state: 1, at: 0, origin, runs };
        let recorded = Recorded {
            sequence: 900,
            group: 0,
            id: "m1",
            fingerprint: 0,
            message_type: 0,
            key: None,
            received_at: 0,
            route: 0,
        };
        let row = JournalRow {
            names: vec!["g"],
            recorded: vec![recorded],
            settled: vec![
                settled(None, vec![(15, 2), (40, 1)].into()),
                settled(Some(100), vec![(800, 1)].into()),
                // Damaged.
                settled(None, vec![(1, u64::MAX), (700, 0), (890, 100)].into()),
            ],
            redriven: vec![Redriven { peer: 0, origin: 200, sequence: 901 }],
            ..JournalRow::default()
        };
        let mut expected: Vec<_> = [15, 16, 40, 100, 200].map(of_deliveries).into();
        expected.push(of_identity("g", "m1"));
        assert_eq!(hashes(&row, 902), Ok(expected));
    }

    #[test]
    fn rows_are_cut_between_hashes_and_found_by_the_next_key() {
        let entry = |hash, offset| Entry { hash, offset };
        let mut entries: Vec<_> = (0..490).map(|n| entry(n, 0)).collect();
        entries.extend((0..30).map(|n| entry(495, n)));
        entries.extend((0..3).map(|n| entry(u32::MAX, n)));
        assert_eq!(cut(&entries, 0, 500), (520, 495));
        assert_eq!(cut(&entries, 520, 500), (523, u32::MAX));
        let bytes = encode(7, 99, &entries[..520]);
        let row = RunRow::decode(&bytes).unwrap();
        assert_eq!((row.first, row.last, row.entries().count()), (7, 99, 520));
        assert_eq!(row.commits(495).collect::<Vec<_>>(), (7..37).collect::<Vec<_>>());
        assert_eq!((row.commits(489).collect::<Vec<_>>(), row.commits(492).next()), (vec![7], None));
        assert_eq!(split_key(&key(5, 495)), Some((5, 495)));
        assert!(key(5, u32::MAX) < key(6, 0));
        for length in [0, 1, 16, bytes.len() - 1] {
            assert!(matches!(RunRow::decode(&bytes[..length]), Err(StoreError::Corrupted(_))), "{length}");
        }
        assert!(matches!(RunRow::decode(&[&[2], &bytes[1..]].concat()), Err(StoreError::Unsupported(_))));
    }
}
