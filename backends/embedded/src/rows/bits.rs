//! A block: one bit for each of 1,024 neighbouring numbers.

use std::ops::{BitAnd, BitOrAssign, Not};

/// How many numbers share a block.
pub(crate) const BLOCK: u64 = 1024;

const WORDS: usize = 16;

/// The bits of one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Bits([u64; WORDS]);

impl Bits {
    pub(crate) const NONE: Self = Self([0; WORDS]);

    pub(crate) fn from_bytes(bytes: &[u8; 128]) -> Self {
        let mut words = [0; WORDS];
        for (word, chunk) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*chunk);
        }
        Self(words)
    }

    pub(crate) fn to_bytes(self) -> [u8; 128] {
        let mut bytes = [0; 128];
        for (chunk, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(self.0) {
            *chunk = word.to_le_bytes();
        }
        bytes
    }

    /// Whether the bit of this number is set; the number's block is not looked at.
    pub(crate) fn has(&self, number: u64) -> bool {
        let (word, mask) = place(number);
        self.0[word] & mask != 0
    }

    pub(crate) fn set(&mut self, number: u64) {
        let (word, mask) = place(number);
        self.0[word] |= mask;
    }

    pub(crate) fn clear(&mut self, number: u64) {
        let (word, mask) = place(number);
        self.0[word] &= !mask;
    }

    /// The highest number of `block` that is set and not above `number`, which lies in it.
    pub(crate) fn at_or_below(&self, block: u64, number: u64) -> Option<u64> {
        let (word, mask) = place(number);
        let below = std::iter::once(self.0[word] & (mask | (mask - 1))).chain(self.0[..word].iter().rev().copied());
        let (word, found) = (0..=word).rev().zip(below).find(|(_, bits)| *bits != 0)?;
        Some(block * BLOCK + 64 * word as u64 + u64::from(found.ilog2()))
    }

    /// The lowest number of `block` that is set and above `number`, which lies in it.
    pub(crate) fn above(&self, block: u64, number: u64) -> Option<u64> {
        let (word, mask) = place(number);
        let above = std::iter::once(self.0[word] & !(mask | (mask - 1))).chain(self.0[word + 1..].iter().copied());
        let (word, found) = (word..).zip(above).find(|(_, bits)| *bits != 0)?;
        Some(block * BLOCK + 64 * word as u64 + u64::from(found.trailing_zeros()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Clears the bits of all numbers of `block` that are below `number`.
    pub(crate) fn keep_from(&mut self, block: u64, number: u64) {
        let start = block * BLOCK;
        for (bits, low) in self.0.iter_mut().zip((start..).step_by(64)) {
            match number.saturating_sub(low) {
                0 => {}
                below @ 1..64 => *bits &= u64::MAX << below,
                _ => *bits = 0,
            }
        }
    }

    /// Clears the bits of all numbers of `block` that are at or above `number`.
    pub(crate) fn keep_below(&mut self, block: u64, number: u64) {
        let mut others = *self;
        others.keep_from(block, number);
        *self = *self & !others;
    }

    /// The lowest `most` of the set bits.
    pub(crate) fn lowest(&self, most: u64) -> Self {
        let mut lowest = Self::NONE;
        for number in self.numbers(0).take(usize::try_from(most).unwrap_or(usize::MAX)) {
            lowest.set(number);
        }
        lowest
    }

    /// The numbers of `block` whose bits are set, in ascending order.
    pub(crate) fn numbers(&self, block: u64) -> impl Iterator<Item = u64> {
        let start = block * BLOCK;
        self.0.into_iter().zip((start..).step_by(64)).flat_map(|(mut word, low)| {
            std::iter::from_fn(move || {
                let bit = (word != 0).then(|| u64::from(word.trailing_zeros()))?;
                word &= word - 1;
                Some(low + bit)
            })
        })
    }
}

/// The block that a number lies in.
pub(crate) fn block_of(number: u64) -> u64 {
    number / BLOCK
}

fn place(number: u64) -> (usize, u64) {
    let [low, high, ..] = number.to_le_bytes();
    let within = u16::from_le_bytes([low, high]) % 1024;
    (usize::from(within / 64), 1 << (within % 64))
}

impl BitOrAssign for Bits {
    fn bitor_assign(&mut self, other: Self) {
        for (word, other) in self.0.iter_mut().zip(other.0) {
            *word |= other;
        }
    }
}

impl BitAnd for Bits {
    type Output = Self;
    fn bitand(mut self, other: Self) -> Self {
        for (word, other) in self.0.iter_mut().zip(other.0) {
            *word &= other;
        }
        self
    }
}

impl Not for Bits {
    type Output = Self;
    fn not(self) -> Self {
        Self(self.0.map(|word| !word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(numbers: &[u64]) -> Bits {
        let mut bits = Bits::NONE;
        numbers.iter().for_each(|&number| bits.set(number));
        bits
    }

    #[test]
    fn bits_are_the_numbers_that_were_set() {
        let mut bits = of(&[2048, 2049, 2111, 2112, 3071]);
        assert_eq!(bits.numbers(2).collect::<Vec<_>>(), [2048, 2049, 2111, 2112, 3071]);
        assert_eq!((bits.count(), bits.has(2111), bits.has(2110)), (5, true, false));
        assert_eq!(Bits::from_bytes(&bits.to_bytes()), bits);
        bits.clear(2111);
        assert_eq!(bits.lowest(3), of(&[2048, 2049, 2112]));
        assert_eq!((!bits & of(&[2048, 2111])), of(&[2111]));
    }

    #[test]
    fn the_next_set_bits_of_either_side_are_found() {
        let bits = of(&[1024, 1087, 1088, 1500, 2047]);
        let below = [1024, 1025, 1086, 1087, 1088, 1089, 1499, 2047].map(|number| bits.at_or_below(1, number));
        assert_eq!(below, [1024, 1024, 1024, 1087, 1088, 1088, 1088, 2047].map(Some));
        let above = [1024, 1025, 1086, 1087, 1088, 1500, 2046].map(|number| bits.above(1, number));
        assert_eq!(above, [1087, 1087, 1087, 1088, 1500, 2047, 2047].map(Some));
        assert_eq!((of(&[1025]).at_or_below(1, 1024), bits.above(1, 2047), Bits::NONE.above(0, 0)), (None, None, None));
    }

    #[test]
    fn keep_from_cuts_exactly_at_the_number() {
        for cut in [1024, 1025, 1087, 1088, 1089, 1500, 2047, 2048, 9999] {
            let mut bits = !Bits::NONE;
            bits.keep_from(1, cut);
            assert_eq!(bits.numbers(1).next(), (cut < 2048).then_some(cut), "{cut}");
            assert_eq!(bits.count(), 2048_u64.saturating_sub(cut), "{cut}");
            let mut below = !Bits::NONE;
            below.keep_below(1, cut);
            assert_eq!(below, !bits, "{cut}");
        }
    }
}
