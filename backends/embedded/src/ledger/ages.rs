//! Ascending sequences and times of any order, in as few bytes as they differ by: mostly one a pair.
//!
//! A queue that is read from its front: the first pair is known, every other is a difference to the one before it.

use std::collections::VecDeque;

/// The next sequence, and a time up to this much later, are one byte: that difference.
const MOST_IN_A_BYTE: u8 = 253;

/// The next sequence, and a time that is later by less than 2³²: that difference follows in four bytes.
const LATER: u8 = 254;

/// Any other: both differences follow in eight bytes each.
const OTHER: u8 = 255;

#[derive(Debug, Default)]
pub(crate) struct Ages {
    length: usize,
    first: (u64, u64),
    last: (u64, u64),
    steps: VecDeque<u8>,
}

impl Ages {
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Adds a pair of a sequence and a time.
    pub(crate) fn push(&mut self, sequence: u64, time: u64) {
        if self.length == 0 {
            self.first = (sequence, time);
        } else {
            let (sequences, times) = (sequence.wrapping_sub(self.last.0), time.wrapping_sub(self.last.1));
            match (sequences, u8::try_from(times), u32::try_from(times)) {
                (1, Ok(step @ ..=MOST_IN_A_BYTE), _) => self.steps.push_back(step),
                (1, _, Ok(times)) => {
                    self.steps.push_back(LATER);
                    self.steps.extend(times.to_le_bytes());
                }
                _ => {
                    self.steps.push_back(OTHER);
                    self.steps.extend(sequences.to_le_bytes());
                    self.steps.extend(times.to_le_bytes());
                }
            }
        }
        self.last = (sequence, time);
        self.length += 1;
    }

    /// Drops the first pair.
    pub(crate) fn pop(&mut self) {
        if self.length > 0 {
            self.length -= 1;
            let next = after(self.first, &mut std::iter::from_fn(|| self.steps.pop_front()));
            self.first = next.unwrap_or_default();
        }
    }

    /// All pairs, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut steps = self.steps.iter().copied();
        let first = (self.length > 0).then_some(self.first);
        std::iter::successors(first, move |&pair| after(pair, &mut steps))
    }

    #[cfg(test)]
    pub(crate) fn allocated(&self) -> usize {
        self.steps.capacity()
    }
}

/// The pair after this one, which these bytes tell; none if they have ended.
fn after((sequence, time): (u64, u64), steps: &mut impl Iterator<Item = u8>) -> Option<(u64, u64)> {
    let number = |bytes: u32, steps: &mut dyn Iterator<Item = u8>| {
        (0..bytes).fold(0, |number, at| number | u64::from(steps.next().unwrap_or(0)) << (8 * at))
    };
    let (sequences, times) = match steps.next()? {
        OTHER => (number(8, steps), number(8, steps)),
        LATER => (1, number(4, steps)),
        step => (1, u64::from(step)),
    };
    Some((sequence.wrapping_add(sequences), time.wrapping_add(times)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_come_back_in_order_however_they_differ() {
        let pairs = [
            (5, 1000),
            (6, 1000),
            (7, 1253),
            (8, 1507),
            (9, 1000),
            (11, 1001),
            (12, u64::MAX),
            (13, 0),
            (14, 1 << 32),
            (15, (1 << 33) - 1),
            (u64::MAX, 7),
        ];
        let mut ages = Ages::default();
        for (kept, &(sequence, time)) in pairs.iter().enumerate() {
            ages.push(sequence, time);
            assert_eq!(ages.iter().collect::<Vec<_>>(), pairs[..=kept]);
        }
        for gone in 1..=pairs.len() {
            ages.pop();
            assert_eq!((ages.len(), ages.iter().collect::<Vec<_>>()), (pairs.len() - gone, pairs[gone..].to_vec()));
        }
        ages.pop();
        assert_eq!((ages.len(), ages.steps.len()), (0, 0));
        ages.push(3, 4);
        assert_eq!(ages.iter().collect::<Vec<_>>(), [(3, 4)]);
    }

    #[test]
    fn neighbours_take_a_byte() {
        let mut ages = Ages::default();
        (0..1000).for_each(|number| ages.push(number, 7 * number));
        assert_eq!(ages.steps.len(), 999);
    }
}
