//! Which peers have series of their own on a metrics page, and what is counted for several under one label. Pure.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use slipstream_store::PeerId;

/// What is remembered from one metrics page to the next.
#[derive(Debug)]
pub(super) struct PeerSeries {
    /// Most peers that have series of their own.
    most: usize,
    /// Those that had them on the last page.
    own: Mutex<HashSet<PeerId>>,
    /// Republishes of anonymous peers, those that have left included.
    pub(super) anonymous: Sum,
    /// Republishes of peers that had no series of their own when these were counted.
    pub(super) rest: Sum,
}

impl PeerSeries {
    pub(super) fn new(most: usize) -> Self {
        Self { most, own: Mutex::default(), anonymous: Sum::default(), rest: Sum::default() }
    }

    /// Takes those that have series of their own out of all: those that are owed the most. Of those whose backlogs are within
    /// a factor of two of each other the ones stay that had them before, so that series do not come and go with every
    /// delivery; else the ids decide.
    pub(super) fn take_own<T>(&self, all: &mut Vec<T>, of: impl Fn(&T) -> (&PeerId, u64)) -> Vec<T> {
        let mut before = self.own.lock();
        if all.len() > self.most {
            all.sort_by_cached_key(|each| {
                let (id, backlog) = of(each);
                (backlog.leading_zeros(), Reverse(before.contains(id)), id.clone())
            });
        }
        let rest = all.split_off(self.most.min(all.len()));
        let own = std::mem::replace(all, rest);
        *before = own.iter().map(|each| of(each).0.clone()).collect();
        own
    }
}

/// A sum over several peers, which never falls, although peers leave it.
#[derive(Debug, Default)]
pub(super) struct Sum(AtomicU64);

impl Sum {
    /// Adds what is new, and returns the sum.
    pub(super) fn add(&self, new: u64) -> u64 {
        self.0.fetch_add(new, Ordering::Relaxed) + new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(series: &PeerSeries, backlogs: &[(&str, u64)]) -> (Vec<String>, usize) {
        let mut all: Vec<_> = backlogs.iter().map(|(id, backlog)| (PeerId::new(*id).unwrap(), *backlog)).collect();
        let own = series.take_own(&mut all, |(id, backlog)| (id, *backlog));
        (own.into_iter().map(|(id, _)| id.to_string()).collect(), all.len())
    }

    #[test]
    fn those_that_are_owed_the_most_have_series_of_their_own() {
        let series = PeerSeries::new(2);
        assert_eq!(own(&series, &[("b", 0), ("a", 9)]), (vec!["b".to_owned(), "a".to_owned()], 0));
        let series = PeerSeries::new(2);
        let backlogs = [("a", 0), ("b", 0), ("c", 700), ("d", 0), ("e", 1)];
        assert_eq!(own(&series, &backlogs), (vec!["c".to_owned(), "e".to_owned()], 3));
        assert_eq!(own(&PeerSeries::new(0), &backlogs), (vec![], 5));
    }

    #[test]
    fn series_stay_until_another_peer_is_owed_much_more() {
        let series = PeerSeries::new(2);
        let names = |backlogs: &[(&str, u64)]| own(&series, backlogs).0;
        assert_eq!(names(&[("a", 0), ("b", 0), ("c", 0)]), ["a", "b"]);
        assert_eq!(names(&[("a", 0), ("b", 0), ("c", 5)]), ["c", "a"]);
        assert_eq!(names(&[("a", 0), ("b", 0), ("c", 0)]), ["a", "c"], "b has to be owed something first");
        assert_eq!(names(&[("a", 4), ("b", 7), ("c", 5)]), ["a", "c"], "7 is less than twice as much as 4");
        assert_eq!(names(&[("a", 4), ("b", 8), ("c", 5)]), ["b", "a"]);
        assert_eq!(names(&[("c", 0), ("d", 0), ("e", 0)]), ["c", "d"], "a and b were forgotten");
    }

    #[test]
    fn a_sum_never_falls() {
        let sum = Sum::default();
        assert_eq!((sum.add(3), sum.add(0), sum.add(2)), (3, 3, 5));
    }
}
