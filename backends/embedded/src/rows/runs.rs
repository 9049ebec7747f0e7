//! Sequences as runs: a first one and how many follow each other from there on.

use bincode::{BorrowDecode, Encode};
use slipstream_store::{Result, StoreError};

/// Runs of sequences, in the order in which they were added.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, BorrowDecode)]
pub(crate) struct Runs(Vec<(u64, u64)>);

impl Runs {
    /// Adds a sequence; to the last run if it follows that.
    pub(crate) fn push(&mut self, sequence: u64) {
        match self.0.last_mut() {
            Some((first, count)) if first.checked_add(*count) == Some(sequence) => *count += 1,
            _ => self.0.push((sequence, 1)),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first sequence of each run, and how many the run has.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().copied()
    }

    /// The sequences. Runs without end, which only a damaged row has, must have been refused before.
    pub(crate) fn sequences(&self) -> impl Iterator<Item = u64> {
        self.iter().flat_map(|(first, count)| first..first.saturating_add(count))
    }

    pub(crate) fn contains(&self, sequence: u64) -> bool {
        self.iter().any(|(first, count)| sequence >= first && sequence - first < count)
    }

    /// Leaves only sequences that are wanted.
    pub(crate) fn retain(&mut self, wanted: impl Fn(u64) -> bool) {
        *self = self.sequences().filter(|&sequence| wanted(sequence)).collect();
    }

    /// That every sequence was given before this one: a run without end would be walked for ever.
    pub(crate) fn check_below(&self, next_sequence: u64) -> Result<()> {
        match self.iter().find(|(first, count)| first.saturating_add(*count) > next_sequence) {
            None => Ok(()),
            Some((first, count)) => Err(StoreError::Corrupted(format!(
                "a journal row tells of {count} messages from {first} on: expected none from {next_sequence} on"
            ))),
        }
    }
}

impl FromIterator<u64> for Runs {
    fn from_iter<I: IntoIterator<Item = u64>>(sequences: I) -> Self {
        let mut runs = Self::default();
        sequences.into_iter().for_each(|sequence| runs.push(sequence));
        runs
    }
}

#[cfg(test)]
impl From<Vec<(u64, u64)>> for Runs {
    fn from(runs: Vec<(u64, u64)>) -> Self {
        Self(runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_share_a_run() {
        let mut runs: Runs = [3, 4, 5, 9, 8, 9].into_iter().collect();
        assert_eq!(runs.iter().collect::<Vec<_>>(), [(3, 3), (9, 1), (8, 2)]);
        assert_eq!(
            [2, 3, 5, 6, 8, 9, 10].map(|sequence| runs.contains(sequence)),
            [false, true, true, false, true, true, false]
        );
        runs.retain(|sequence| sequence != 4);
        assert_eq!(runs.iter().collect::<Vec<_>>(), [(3, 1), (5, 1), (9, 1), (8, 2)]);
        assert!(runs.check_below(10).is_ok());
        assert!(runs.check_below(9).is_err());
    }

    #[test]
    fn a_run_without_end_is_refused() {
        assert!(Runs(vec![(1, u64::MAX)]).check_below(u64::MAX - 1).is_err());
    }
}
