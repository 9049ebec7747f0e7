//! A table of what happened of late.

use std::collections::HashMap;
use std::hash::Hash;
use std::mem;

/// Keeps at least the last half of so many entries, and never more.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    half: usize,
    newer: HashMap<K, V>,
    older: HashMap<K, V>,
}

impl<K: Hash + Eq, V> Recent<K, V> {
    pub(super) fn new(most: usize) -> Self {
        Self { half: (most / 2).max(1), newer: HashMap::new(), older: HashMap::new() }
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.newer.get(key).or_else(|| self.older.get(key))
    }

    /// Puts an entry in, and forgets the oldest half if there are too many.
    pub(super) fn put(&mut self, key: K, value: V) {
        self.older.remove(&key);
        if self.newer.len() >= self.half && !self.newer.contains_key(&key) {
            self.older = mem::take(&mut self.newer);
        }
        self.newer.insert(key, value);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.newer.len() + self.older.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_half_is_kept_and_no_more_than_all() {
        let mut recent = Recent::new(10);
        for number in 0..1_000 {
            recent.put(number, number);
            // This one is put in again and again, and so is never among the oldest.
            recent.put(1_000, number);
            assert!(recent.len() <= 10);
            assert_eq!(recent.get(&1_000), Some(&number));
            assert_eq!(recent.get(&number), Some(&number));
        }
        assert!((996..1_000).all(|number| recent.get(&number).is_some()));
        assert_eq!(recent.get(&980), None);
    }
}
