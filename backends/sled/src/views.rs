//! Views on the tables as of one commit, which sled has none of.
//!
//! Before a commit changes the tree, what it will change is published here as it was: its *before-images*. Whoever
//! reads looks into the tree first and then here; if a commit that its view does not include has changed a row,
//! the before-image counts. A view begins with the last commit that is durable, so that nobody sees what a power cut
//! could still take.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use sled::IVec;
use slipstream_store::{Result, StoreError};

/// Most bytes of before-images that are kept for views on commits long past.
const LIMIT: usize = 64 << 20;

/// What a before-image takes beside its key and its value, about, in bytes.
const OVERHEAD: usize = 96;

/// The rows that a commit changes, as they were before it.
pub(crate) type Before = BTreeMap<Vec<u8>, Option<IVec>>;

#[derive(Debug)]
struct Images {
    /// The number of the commit.
    commit: u64,
    before: Before,
    bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    /// The last commit that is durable.
    durable: u64,
    /// The commits that some view does not include, oldest first.
    images: VecDeque<Arc<Images>>,
    bytes: usize,
    /// How many views there are on each commit.
    open: BTreeMap<u64, usize>,
    /// How many of them commits wait for.
    patient: usize,
    /// Views on commits before this one have lost their images.
    floor: u64,
}

/// The views that are open on a store.
#[derive(Debug, Default)]
pub(crate) struct Views {
    state: Mutex<State>,
    ended: Condvar,
}

/// What becomes of a view that commits have left far behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Its reads answer `Busy`.
    ViewEnds,
    /// The next commit waits until the view has ended.
    CommitsWait,
}

/// A view; it ends when it is dropped.
#[derive(Debug)]
pub(crate) struct View<'v> {
    views: &'v Views,
    commit: u64,
    patience: Patience,
}

impl Views {
    /// A view on the last commit that is durable.
    pub(crate) fn begin(&self, patience: Patience) -> View<'_> {
        let mut state = self.state();
        let commit = state.durable;
        *state.open.entry(commit).or_default() += 1;
        state.patient += usize::from(patience == Patience::CommitsWait);
        View { views: self, commit, patience }
    }

    /// Publishes what the next commit is about to change. From here to [`durable`](Self::durable) no view includes it.
    pub(crate) fn changing(&self, before: Before) {
        let bytes = before.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, |value| value.len()));
        let bytes = bytes.map(|bytes| bytes + OVERHEAD).sum();
        let mut state = self.state();
        while state.bytes + bytes > LIMIT && state.patient > 0 {
            state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        while state.bytes + bytes > LIMIT && !state.images.is_empty() {
            state.forget_oldest();
        }
        let commit = state.durable + 1;
        state.images.push_back(Arc::new(Images { commit, before, bytes }));
        state.bytes += bytes;
    }

    /// The commit that was published is durable: views that begin now include it.
    pub(crate) fn durable(&self) {
        let mut state = self.state();
        state.durable += 1;
        state.trim();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Forgets the images that no view needs.
    fn trim(&mut self) {
        let oldest = self.open.keys().next().copied().unwrap_or(self.durable);
        while self.images.front().is_some_and(|images| images.commit <= oldest) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(images) = self.images.pop_front() {
            self.bytes -= images.bytes;
            self.floor = images.commit;
        }
    }
}

impl View<'_> {
    /// Has `apply` put the before-images in the place of what was read from the tree, newest commit first. Ask for
    /// them after reading: a commit publishes its images before it changes the tree.
    ///
    /// # Errors
    /// `Busy` if the images that the view needs are gone.
    pub(crate) fn amend(&self, mut apply: impl FnMut(&Before)) -> Result<()> {
        let state = self.views.state();
        if self.commit < state.floor {
            return Err(StoreError::Busy("more was committed meanwhile than a view can be kept for".to_owned()));
        }
        let images: Vec<_> =
            state.images.iter().rev().take_while(|images| images.commit > self.commit).cloned().collect();
        drop(state);
        images.iter().for_each(|images| apply(&images.before));
        Ok(())
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        let mut state = self.views.state();
        if let Some(count) = state.open.get_mut(&self.commit) {
            *count -= 1;
            if *count == 0 {
                state.open.remove(&self.commit);
            }
        }
        state.patient -= usize::from(self.patience == Patience::CommitsWait);
        state.trim();
        drop(state);
        self.views.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a view shows of a row that is `now` in the tree.
    fn shown(view: &View<'_>, now: &str) -> Result<String> {
        let mut shown = now.to_owned();
        view.amend(|before| {
            if let Some(Some(was)) = before.get(b"key".as_slice()) {
                shown = String::from_utf8(was.to_vec()).unwrap();
            }
        })?;
        Ok(shown)
    }

    fn was(value: &str) -> Before {
        Before::from([(b"key".to_vec(), Some(IVec::from(value)))])
    }

    #[test]
    fn a_view_shows_its_commit_and_nothing_that_is_not_durable() {
        let views = Views::default();
        let first = views.begin(Patience::ViewEnds);
        views.changing(was("a"));
        let second = views.begin(Patience::ViewEnds);
        assert_eq!((shown(&first, "b"), shown(&second, "b")), (Ok("a".to_owned()), Ok("a".to_owned())));
        views.durable();
        let third = views.begin(Patience::ViewEnds);
        views.changing(was("b"));
        assert_eq!((shown(&first, "c"), shown(&third, "c")), (Ok("a".to_owned()), Ok("b".to_owned())));
        views.durable();
        drop((first, second));
        assert_eq!(shown(&third, "c"), Ok("b".to_owned()));
        assert_eq!(views.state().images.len(), 1, "what no view needs is forgotten");
        drop(third);
        let state = views.state();
        assert_eq!((state.images.len(), state.bytes), (0, 0));
    }

    #[test]
    fn a_view_that_is_left_behind_ends_and_the_latest_does_not() {
        let views = Views::default();
        let large = "x".repeat(LIMIT / 2);
        let old = views.begin(Patience::ViewEnds);
        for _ in 0..3 {
            views.changing(was(&large));
            views.durable();
        }
        assert!(matches!(shown(&old, "now"), Err(StoreError::Busy(_))));
        views.changing(was("last"));
        assert_eq!(shown(&views.begin(Patience::ViewEnds), "now"), Ok("last".to_owned()));
    }

    #[test]
    fn a_commit_waits_for_a_backup_that_is_left_behind() {
        let views = Views::default();
        let large = "x".repeat(LIMIT / 2 + 1);
        let backup = views.begin(Patience::CommitsWait);
        views.changing(was(&large));
        views.durable();
        std::thread::scope(|scope| {
            let commit = scope.spawn(|| views.changing(was(&large)));
            for _ in 0..3 {
                assert_eq!(shown(&backup, "now").as_ref(), Ok(&large));
                std::thread::yield_now();
            }
            assert!(!commit.is_finished());
            drop(backup);
        });
        assert_eq!(views.state().images.len(), 1);
    }
}
