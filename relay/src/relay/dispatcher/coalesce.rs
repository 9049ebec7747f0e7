//! For a peer that wants only the newest value of each key after it was away: finds what is superseded in its
//! backlog. Pure.
//!
//! The backlog is read once ahead, in segments that are bounded by the memory that their keys take; within a segment
//! only the newest value of each key stays. Most backlogs are one segment.

use std::collections::HashMap;

use slipstream_store::{Key, Sequence};

/// Most bytes that the keys of a segment take in memory.
const MAX_KEY_BYTES: usize = 16 << 20;

/// What a key takes besides its text.
const KEY_COST: usize = 64;

/// Where the reading ahead of a backlog stands.
#[derive(Debug)]
pub(super) enum Coalescing {
    /// The segment is being read.
    Reading(Segment),
    /// It was read. What it superseded must be committed before it is read again to be sent.
    Read {
        /// The last delivery of the segment; `None` where it is the last segment.
        end: Option<Sequence>,
    },
}

#[derive(Debug, Default)]
pub(super) struct Segment {
    newest: HashMap<Key, Sequence>,
    key_bytes: usize,
    /// The last delivery that was looked at.
    through: Option<Sequence>,
}

impl Segment {
    /// A segment that begins after this delivery.
    pub(super) fn after(through: Option<Sequence>) -> Self {
        Self { through, ..Self::default() }
    }

    pub(super) fn through(&self) -> Option<Sequence> {
        self.through
    }

    /// Looks at the next delivery. Answers the older one that it supersedes, if it does.
    pub(super) fn look(&mut self, sequence: Sequence, sets: Option<&Key>) -> Option<Sequence> {
        self.through = Some(sequence);
        let key = sets?;
        if let Some(newest) = self.newest.get_mut(key) {
            return Some(std::mem::replace(newest, sequence));
        }
        self.key_bytes += key.as_str().len() + KEY_COST;
        self.newest.insert(key.clone(), sequence);
        None
    }

    pub(super) fn is_full(&self) -> bool {
        self.key_bytes >= MAX_KEY_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_newer_value_supersedes_the_one_before() {
        let mut segment = Segment::default();
        let superseded: Vec<_> = [(1, "a"), (2, "b"), (3, ""), (4, "a"), (5, "a"), (6, "c")]
            .into_iter()
            .filter_map(|(number, key)| {
                let key = (!key.is_empty()).then(|| Key::new(key).unwrap());
                segment.look(Sequence::new(number).unwrap(), key.as_ref())
            })
            .map(Sequence::get)
            .collect();
        assert_eq!(superseded, [1, 4]);
        assert_eq!(segment.through(), Sequence::new(6));
    }

    #[test]
    fn a_segment_is_bounded_by_its_keys() {
        let mut segment = Segment::default();
        let mut number = 0;
        while !segment.is_full() {
            number += 1;
            segment.look(Sequence::new(number).unwrap(), Some(&Key::new(format!("{number:0>1000}")).unwrap()));
        }
        assert!((14_000..17_000).contains(&number), "{number}");
    }
}
