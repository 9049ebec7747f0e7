//! Which of a publisher's messages were seen, each exactly once and in order or not. Pure.

use std::collections::BTreeMap;

/// How a number came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    /// It is above every number before.
    InOrder,
    /// A higher number came before it.
    Late,
    /// It came before.
    Again,
}

/// The numbers that came, from 0. Where all come in order it takes no memory for them.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    /// Above every number that came.
    next: u64,
    /// Those below `next` that did not come: from the first of a gap to the one after its last.
    gaps: BTreeMap<u64, u64>,
    distinct: u64,
}

impl Sequence {
    pub(crate) fn take(&mut self, number: u64) -> Came {
        if number >= self.next {
            if number > self.next {
                self.gaps.insert(self.next, number);
            }
            self.next = number + 1;
            self.distinct += 1;
            return Came::InOrder;
        }
        let gap = self.gaps.range(..=number).next_back().map(|(first, end)| (*first, *end));
        let Some((first, end)) = gap.filter(|(_, end)| number < *end) else { return Came::Again };
        self.gaps.remove(&first);
        if first < number {
            self.gaps.insert(first, number);
        }
        if number + 1 < end {
            self.gaps.insert(number + 1, end);
        }
        self.distinct += 1;
        Came::Late
    }

    /// How many different numbers came.
    pub(crate) fn distinct(&self) -> u64 {
        self.distinct
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn in_order_late_and_again_are_told_apart() {
        let mut sequence = Sequence::default();
        let came: Vec<Came> = [0, 1, 4, 3, 3, 2, 2, 0, 5].map(|number| sequence.take(number)).to_vec();
        use Came::{Again, InOrder, Late};
        assert_eq!(came, [InOrder, InOrder, InOrder, Late, Again, Late, Again, Again, InOrder]);
        assert!(sequence.gaps.is_empty());
        assert_eq!(sequence.distinct(), 6);
    }

    proptest! {
        #[test]
        fn every_order_is_judged_as_a_set_would(numbers in prop::collection::vec(0..30_u64, 0..80)) {
            let mut sequence = Sequence::default();
            let mut seen = HashSet::new();
            let mut highest = None;
            for number in numbers {
                let expected = match (seen.insert(number), highest) {
                    (false, _) => Came::Again,
                    (true, Some(highest)) if number < highest => Came::Late,
                    (true, _) => Came::InOrder,
                };
                highest = highest.max(Some(number));
                prop_assert_eq!(sequence.take(number), expected);
                prop_assert_eq!(sequence.distinct(), seen.len() as u64);
            }
        }
    }
}
