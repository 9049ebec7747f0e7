//! The identities of the dedup window, in memory only: 32 bytes each and about 10 more for the index.
//!
//! They stand in the order of their recording, so that the oldest leave first. An identity is kept as 96 bits of
//! its XXH3 hash: that two of a million share them by accident has a chance of 1 in 10¹⁷.

use std::collections::VecDeque;

use hashbrown::HashTable;
use slipstream_store::Identity;
use xxhash_rust::xxh3::xxh3_128;

/// How many identities share an allocation.
const CHUNK: usize = 4096;

/// 96 bits of the hash of an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct IdentityHash {
    low: [u32; 2],
    high: u32,
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
        let bytes = hash.to_le_bytes();
        let (words, _) = bytes.as_chunks::<4>();
        Self { low: [u32::from_le_bytes(words[0]), u32::from_le_bytes(words[1])], high: u32::from_le_bytes(words[2]) }
    }

    fn bucket(self) -> u64 {
        u64::from(self.low[0]) | u64::from(self.low[1]) << 32
    }
}

/// A remembered identity. The sequence is kept as its lower half: the window spans far fewer than 2³² sequences.
#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: IdentityHash,
    sequence: u32,
    fingerprint: u64,
    received_at: u64,
}

/// A new identity.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewIdentity {
    pub(crate) hash: IdentityHash,
    pub(crate) sequence: u64,
    pub(crate) fingerprint: u64,
    pub(crate) received_at: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Identities {
    chunks: VecDeque<Vec<Entry>>,
    /// Positions, counted over the whole life and wrapped to 32 bits.
    index: HashTable<u32>,
    /// The position of the first entry of the first chunk.
    base: u32,
    /// How many entries of the first chunk were forgotten.
    forgotten: usize,
    /// The sequence of the last entry.
    last: u64,
}

impl Identities {
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    pub(crate) fn fingerprint(&self, hash: IdentityHash) -> Option<u64> {
        let found = self.index.find(hash.bucket(), |&position| self.at(position).is_some_and(|at| at.hash == hash));
        found.and_then(|&position| self.at(position)).map(|entry| entry.fingerprint)
    }

    /// Adds one that is not there, with a sequence above all others.
    pub(crate) fn push(&mut self, new: NewIdentity) {
        let [a, b, c, d, ..] = new.sequence.to_le_bytes();
        let entry = Entry {
            hash: new.hash,
            sequence: u32::from_le_bytes([a, b, c, d]),
            fingerprint: new.fingerprint,
            received_at: new.received_at,
        };
        self.last = new.sequence;
        if self.chunks.back().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push_back(Vec::with_capacity(CHUNK));
        }
        let before = (self.chunks.len() - 1) * CHUNK;
        if let Some(chunk) = self.chunks.back_mut() {
            let position = self.base.wrapping_add(wrapped(before + chunk.len()));
            chunk.push(entry);
            let (chunks, base) = (&self.chunks, self.base);
            self.index.insert_unique(new.hash.bucket(), position, |&position| {
                at(chunks, base, position).map_or(0, |entry| entry.hash.bucket())
            });
        }
    }

    /// The sequences and times of all, in the order of their recording.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = (u64, u64)> {
        let entries = self.chunks.iter().flatten().skip(self.forgotten);
        entries.map(|entry| (self.whole(entry.sequence), entry.received_at))
    }

    /// Forgets the oldest.
    pub(crate) fn forget_first(&mut self) {
        let Some(entry) = self.chunks.front().and_then(|chunk| chunk.get(self.forgotten)).copied() else { return };
        let position = self.base.wrapping_add(wrapped(self.forgotten));
        if let Ok(found) = self.index.find_entry(entry.hash.bucket(), |&at| at == position) {
            found.remove();
        }
        self.forgotten += 1;
        if self.forgotten == CHUNK {
            self.chunks.pop_front();
            self.base = self.base.wrapping_add(wrapped(CHUNK));
            self.forgotten = 0;
        }
    }

    fn at(&self, position: u32) -> Option<&Entry> {
        at(&self.chunks, self.base, position)
    }

    /// The sequence at or below the last one that has this lower half.
    fn whole(&self, low: u32) -> u64 {
        let span = 1 << 32;
        let guess = self.last - self.last % span + u64::from(low);
        if guess > self.last { guess.saturating_sub(span) } else { guess }
    }
}

fn at(chunks: &VecDeque<Vec<Entry>>, base: u32, position: u32) -> Option<&Entry> {
    let offset = usize::try_from(position.wrapping_sub(base)).ok()?;
    chunks.get(offset / CHUNK)?.get(offset % CHUNK)
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
        NewIdentity { hash, sequence, fingerprint: number, received_at: number * 10 }
    }

    #[test]
    fn an_entry_takes_32_bytes() {
        assert_eq!(size_of::<Entry>(), 32);
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
            let found = identities.fingerprint(new(number, 0).hash);
            assert_eq!(found, (number >= 11_000).then_some(number), "{number}");
        }
        let expected: Vec<_> = (11_000..20_000).map(|number| (start + 2 * number, number * 10)).collect();
        assert_eq!(identities.in_order().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_parts_of_an_identity_are_kept_apart() {
        assert_ne!(IdentityHash::of_parts("ab", "c"), IdentityHash::of_parts("a", "bc"));
        let long = "x".repeat(300);
        assert_ne!(IdentityHash::of_parts(&long, "c"), IdentityHash::of_parts(&long, "d"));
    }
}
