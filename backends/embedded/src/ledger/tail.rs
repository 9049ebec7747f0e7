//! The end of the index of the journal, which is not yet in runs, in memory: 8 bytes an entry.
//!
//! New entries gather until they make a run. Then they are sorted, and commits take a few rows of the run with them, one
//! after the other, so that no commit waits long for it. An opening reads what is not in a run from the journal again.
//! Whoever traces a message takes a copy before it takes a view on the tables: what has got into a run since is found in
//! both, and what was committed since comes after the end of the copy.

use std::sync::Arc;

use crate::rows::index::{self, Entry};

/// How many entries make a run, unless said otherwise. A lookup reads a row of each run: ten million messages are 80 to
/// 160 runs.
pub(crate) const RUN: usize = 131_072;

/// How many rows of a run a commit takes with it.
const ROWS_A_COMMIT: usize = 8;

/// How many rows a short run has.
const SHORT_RUN_ROWS: usize = 16;

/// The entries of the commits from one on.
#[derive(Debug, Clone)]
pub(crate) struct Tail {
    run: usize,
    /// A run of which some rows are written.
    begun: Option<Arc<Run>>,
    written: usize,
    from: u64,
    end: u64,
    entries: Vec<Entry>,
}

/// A run: the entries of these commits, sorted.
#[derive(Debug)]
struct Run {
    first: u64,
    last: u64,
    entries: Vec<Entry>,
}

/// The next rows of a run, by key.
#[derive(Debug)]
pub(crate) struct NextRows {
    pub(crate) rows: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether they are the first of the run.
    pub(crate) begin: bool,
    /// How many entries of the run are written with them.
    pub(crate) written: usize,
    /// The last commit of the run, if these are its last rows.
    pub(crate) ends: Option<u64>,
}

impl Default for Tail {
    fn default() -> Self {
        Self::new(1)
    }
}

impl Tail {
    /// The entries of the commits from this one on, of which there are none yet.
    pub(crate) fn new(from: u64) -> Self {
        Self { run: RUN, begun: None, written: 0, from, end: from, entries: Vec::new() }
    }

    /// Has so many entries make a run.
    pub(crate) fn make_runs_of(&mut self, entries: usize) {
        self.run = entries;
    }

    /// How many entries a row has: fewer in short runs, so that tests see those in parts, too.
    fn row_entries(&self) -> usize {
        (self.run / SHORT_RUN_ROWS).clamp(1, index::ROW_ENTRIES)
    }

    /// The commits from this one on are not in it.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Adds a commit after all others.
    pub(crate) fn push(&mut self, commit: u64, hashes: &[u32]) {
        let offset = u32::try_from(commit.saturating_sub(self.from)).unwrap_or(u32::MAX);
        self.entries.extend(hashes.iter().map(|&hash| Entry { hash, offset }));
        self.end = commit.saturating_add(1);
        if self.begun.is_none() && self.entries.len() >= self.run {
            let mut entries = std::mem::take(&mut self.entries);
            // As one number, two entries are compared at once.
            entries.sort_unstable_by_key(|entry| (u64::from(entry.hash) << 32) | u64::from(entry.offset));
            entries.dedup();
            self.begun = Some(Arc::new(Run { first: self.from, last: commit, entries }));
            (self.written, self.from) = (0, self.end);
        }
    }

    /// The rows that the next commit takes with it, of the run of this number.
    pub(crate) fn next_rows(&self, number: u64) -> Option<NextRows> {
        let run = self.begun.as_ref()?;
        let (mut rows, mut written) = (Vec::new(), self.written);
        while rows.len() < ROWS_A_COMMIT && written < run.entries.len() {
            let (end, hash) = index::cut(&run.entries, written, self.row_entries());
            let row = index::encode(run.first, run.last, &run.entries[written..end]);
            rows.push((index::key(number, hash), row));
            written = end;
        }
        let ends = (written == run.entries.len()).then_some(run.last);
        Some(NextRows { rows, begin: self.written == 0, written, ends })
    }

    /// So many entries of the run are written.
    pub(crate) fn wrote(&mut self, written: usize) {
        self.written = written;
        self.begun.take_if(|run| run.entries.len() == written);
    }

    /// Adds the commits that have this hash.
    pub(crate) fn find(&self, hash: u32, commits: &mut Vec<u64>) {
        if let Some(run) = &self.begun {
            let from = run.entries.partition_point(|entry| entry.hash < hash);
            let found = run.entries[from..].iter().take_while(|entry| entry.hash == hash);
            commits.extend(found.map(|entry| run.first + u64::from(entry.offset)));
        }
        let found = self.entries.iter().filter(|entry| entry.hash == hash);
        commits.extend(found.map(|entry| self.from + u64::from(entry.offset)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::index::RunRow;

    fn found(tail: &Tail, hash: u32) -> Vec<u64> {
        let mut commits = Vec::new();
        tail.find(hash, &mut commits);
        commits
    }

    #[test]
    fn a_run_is_written_in_parts_and_found_all_the_while() {
        let mut tail = Tail::new(5);
        tail.make_runs_of(10_000);
        assert!(tail.next_rows(3).is_none());
        for commit in 5..105 {
            tail.push(
                commit,
                &(0..100).map(|n| (n * 7919) ^ (u32::try_from(commit).unwrap() << 16)).collect::<Vec<_>>(),
            );
        }
        tail.push(105, &[7 << 16]);
        assert_eq!((found(&tail, 7 << 16), tail.end()), (vec![7, 105], 106));
        let (mut parts, mut rows) = (0, Vec::new());
        while let Some(next) = tail.next_rows(3) {
            // A write that failed: the same again.
            assert_eq!(tail.next_rows(3).unwrap().rows, next.rows);
            rows.extend(next.rows);
            parts += 1;
            assert_eq!(next.ends, (next.written == 10_000).then_some(104));
            tail.wrote(next.written);
        }
        assert_eq!((parts, rows.len()), (3, 20));
        assert_eq!(found(&tail, 7 << 16), [105], "the rest is in the run");
        let at = rows.partition_point(|(key, _)| *key < index::key(3, 7 << 16));
        assert_eq!(RunRow::decode(&rows[at].1).unwrap().commits(7 << 16).collect::<Vec<_>>(), [7]);
        assert_eq!(rows.last().unwrap().0, index::key(3, u32::MAX));
    }
}
