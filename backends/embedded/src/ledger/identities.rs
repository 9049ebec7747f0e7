//! The identities of the dedup window, in memory only: about 22 bytes each.
//!
//! They stand in a ring in the order of their recording, so that the oldest leave first: 14 bytes each, in chunks that
//! never move. Beside it stand their sequences and times as differences, mostly a byte each. An index by hash finds
//! them, 5 bytes a place; it is in parts that grow each for itself, so that growing neither doubles it nor takes long.
//!
//! Of the 128 bits of an identity's XXH3 hash 80 are kept: that a message meets one of a million others by accident
//! has a chance of 1 in 10¹⁸. Of its fingerprint 32 are kept: they are looked at only if a sender gives two messages
//! one identity, which is a mistake, and of four thousand million such mistakes they miss one.

use std::collections::VecDeque;

use hashbrown::HashTable;
use slipstream_store::Identity;
use xxhash_rust::xxh3::xxh3_128;

use crate::ledger::ages::Ages;

/// How many identities share an allocation.
const CHUNK: usize = 4096;

/// Of how many parts the index is. A part has room for 7/8 of a power of two; of a million identities, which are the
/// most that are remembered unless configured otherwise, 50,000 are in each, in 65,536 places.
const PARTS: usize = 20;

/// The part of an identity's hash that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct IdentityHash {
    low: [u8; 8],
    high: [u8; 2],
}

impl IdentityHash {
    pub(crate) fn of(identity: &Identity) -> Self {
        Self::of_parts(identity.group.as_str(), identity.id.as_str())
    }

    pub(crate) fn of_parts(group: &str, id: &str) -> Self {
        // Neither part can hold a zero byte, so it keeps them apart. 128 bytes each is what the names allow.
        let mut buffer = [0; 257];
        let (group, id) = (group.as_bytes(), id.as_bytes());
        let end = group.len() + 1 + id.len();
        let hash = match buffer.get_mut(..end) {
            Some(bytes) => {
                bytes[..group.len()].copy_from_slice(group);
                bytes[group.len() + 1..].copy_from_slice(id);
                xxh3_128(bytes)
            }
            None => xxh3_128(&[group, &[0], id].concat()),
        };
        let [a, b, c, d, e, f, g, h, i, j, ..] = hash.to_le_bytes();
        Self { low: [a, b, c, d, e, f, g, h], high: [i, j] }
    }

    fn bucket(self) -> u64 {
        u64::from_le_bytes(self.low)
    }

    /// Which part of the index it is in.
    fn part(self) -> usize {
        (usize::from(u16::from_le_bytes(self.high)) * PARTS) >> 16
    }
}

/// The part of a fingerprint that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Print([u8; 4]);

impl Print {
    pub(crate) fn of(fingerprint: u64) -> Self {
        let [a, b, c, d, ..] = fingerprint.to_le_bytes();
        Self([a, b, c, d])
    }
}

/// A remembered identity.
#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: IdentityHash,
    print: Print,
}

/// A new identity.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewIdentity {
    pub(crate) hash: IdentityHash,
    pub(crate) sequence: u64,
    pub(crate) print: Print,
    pub(crate) received_at: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Identities {
    ring: Ring,
    ages: Ages,
    /// Positions in the ring.
    index: [HashTable<u32>; PARTS],
}

impl Identities {
    pub(crate) fn len(&self) -> usize {
        self.ages.len()
    }

    pub(crate) fn print(&self, hash: IdentityHash) -> Option<Print> {
        let entry = |&position: &u32| self.ring.at(position).filter(|entry| entry.hash == hash);
        let found = self.index[hash.part()].find(hash.bucket(), |position| entry(position).is_some());
        found.and_then(entry).map(|entry| entry.print)
    }

    /// Adds one that is not there, with a sequence above all others.
    pub(crate) fn push(&mut self, new: NewIdentity) {
        let position = self.ring.push(Entry { hash: new.hash, print: new.print });
        self.ages.push(new.sequence, new.received_at);
        let ring = &self.ring;
        self.index[new.hash.part()].insert_unique(new.hash.bucket(), position, |&position| {
            ring.at(position).map_or(0, |entry| entry.hash.bucket())
        });
    }

    /// The sequences and times of all, in the order of their recording.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = (u64, u64)> {
        self.ages.iter()
    }

    /// Forgets the oldest.
    pub(crate) fn forget_first(&mut self) {
        let Some((position, entry)) = self.ring.pop() else { return };
        self.ages.pop();
        let part = &mut self.index[entry.hash.part()];
        if let Ok(found) = part.find_entry(entry.hash.bucket(), |&at| at == position) {
            found.remove();
        }
    }
}

/// Entries in order. Their positions are counted over the whole life and wrapped to 32 bits.
#[derive(Debug, Default)]
struct Ring {
    chunks: VecDeque<Vec<Entry>>,
    /// The position of the first entry of the first chunk.
    base: u32,
    /// How many entries of the first chunk are gone.
    gone: usize,
}

impl Ring {
    fn at(&self, position: u32) -> Option<&Entry> {
        let offset = usize::try_from(position.wrapping_sub(self.base)).ok()?;
        self.chunks.get(offset / CHUNK)?.get(offset % CHUNK)
    }

    /// Adds an entry, and returns its position.
    fn push(&mut self, entry: Entry) -> u32 {
        if self.chunks.back().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push_back(Vec::with_capacity(CHUNK));
        }
        let before = (self.chunks.len() - 1) * CHUNK;
        let Some(chunk) = self.chunks.back_mut() else { return self.base };
        chunk.push(entry);
        self.base.wrapping_add(wrapped(before + chunk.len() - 1))
    }

    /// Takes the first entry away, and its position.
    fn pop(&mut self) -> Option<(u32, Entry)> {
        let entry = *self.chunks.front()?.get(self.gone)?;
        let position = self.base.wrapping_add(wrapped(self.gone));
        self.gone += 1;
        if self.gone == CHUNK {
            self.chunks.pop_front();
            self.base = self.base.wrapping_add(wrapped(CHUNK));
            self.gone = 0;
        }
        Some((position, entry))
    }
}

fn wrapped(offset: usize) -> u32 {
    let [a, b, c, d, ..] = offset.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(number: u64, sequence: u64) -> NewIdentity {
        let hash = IdentityHash::of_parts("g", &number.to_string());
        NewIdentity { hash, sequence, print: Print::of(number), received_at: number * 10 }
    }

    #[test]
    fn an_entry_takes_14_bytes() {
        assert_eq!(size_of::<Entry>(), 14);
    }

    #[test]
    fn a_million_identities_take_22_bytes_each() {
        let mut identities = Identities::default();
        for number in 0..1_000_000 {
            identities.push(new(number, number + 1));
        }
        let index: usize = identities.index.iter().map(HashTable::allocation_size).sum();
        let ring = identities.ring.chunks.len() * CHUNK * size_of::<Entry>();
        let all = index + ring + identities.ages.allocated();
        assert!(all < 23_000_000, "{all}");
    }

    #[test]
    fn the_oldest_are_forgotten_and_the_others_found() {
        let mut identities = Identities::default();
        let start = (7 << 32) - 5000;
        for number in 0..20_000 {
            identities.push(new(number, start + 2 * number));
            if number >= 9000 {
                identities.forget_first();
            }
        }
        assert_eq!(identities.len(), 9000);
        for number in 0..20_000 {
            let found = identities.print(new(number, 0).hash);
            assert_eq!(found, (number >= 11_000).then_some(Print::of(number)), "{number}");
        }
        let expected: Vec<_> = (11_000..20_000).map(|number| (start + 2 * number, number * 10)).collect();
        assert_eq!(identities.in_order().collect::<Vec<_>>(), expected);
        for _ in 0..9001 {
            identities.forget_first();
        }
        assert_eq!((identities.len(), identities.in_order().next()), (0, None));
        identities.push(new(5, 9 << 32));
        assert_eq!(identities.print(new(5, 0).hash), Some(Print::of(5)));
        assert_eq!(identities.in_order().collect::<Vec<_>>(), [(9 << 32, 50)]);
    }

    #[test]
    fn the_parts_of_an_identity_are_kept_apart() {
        assert_ne!(IdentityHash::of_parts("ab", "c"), IdentityHash::of_parts("a", "bc"));
        let long = "x".repeat(300);
        assert_ne!(IdentityHash::of_parts(&long, "c"), IdentityHash::of_parts(&long, "d"));
    }
}
