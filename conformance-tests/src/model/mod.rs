//! The model: the contract as a program that is as plain as it can be.
//!
//! [`State`](state::State) says what every operation does. [`ModelStore`] puts it behind the trait, with a
//! [`ModelMedium`] in the place of a disk. Nothing here is fast for its own sake, and nothing is persistent.

mod adopt;
mod medium;
mod members;
mod purge;
mod shared;
mod sharing;
mod state;
mod views;

use std::fmt;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use slipstream_store::{
    Batch, DeadLetter, DeadLetterCount, DeadLetterCursor, DeadLetterFilter, Defect, Depth, Durability, Guarantee,
    Horizon, Identity, MemberId, MessageStore, Outcome, Page, PageLimit, PeerId, Pending, Purged, Result, Roster,
    Sequence, SharedStore, Show, Stats, StoreError, Survives, Timestamp, Trace,
};

pub use medium::ModelMedium;
use medium::SharedState;
use state::State;

/// The executable specification of [`MessageStore`], in memory.
///
/// What it answers is right by definition, except where the contract leaves a choice (what *may* be forgotten, gaps
/// between sequences, what `removed` counts). It is also a store to run simulations on: its state outlives the store
/// within its [`ModelMedium`], so it can be closed or dropped and opened again.
pub struct ModelStore {
    medium: ModelMedium,
    place: PathBuf,
    state: SharedState,
    /// Which handle of a shared store this is.
    member: Option<MemberId>,
    closed: AtomicBool,
}

impl ModelStore {
    /// Opens the store at `place`, which is only a name within the medium. It begins empty if nothing was there.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while another [`ModelStore`] has the place open.
    pub fn open(medium: &ModelMedium, place: &Path) -> Result<Self> {
        Ok(Self {
            state: medium.claim(place)?,
            medium: medium.clone(),
            place: place.to_owned(),
            member: None,
            closed: AtomicBool::new(false),
        })
    }

    /// Opens a handle on the shared store at `place`, which is only a name within the medium. It begins empty if nothing
    /// was there. All handles of a place must be opened by this.
    #[must_use]
    pub fn open_shared(medium: &ModelMedium, place: &Path) -> Self {
        let state = medium.join(place);
        let member = Some(state.lock().join());
        Self { state, medium: medium.clone(), place: place.to_owned(), member, closed: AtomicBool::new(false) }
    }

    /// An empty store on a medium of its own, which nobody can open again.
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            medium: ModelMedium::default(),
            place: PathBuf::new(),
            state: SharedState::default(),
            member: None,
            closed: AtomicBool::new(false),
        }
    }

    /// Runs `work` on the state, unless the store is closed.
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> Result<T> {
        let mut state = self.state.lock();
        if self.closed.load(Ordering::Acquire) { Err(StoreError::Closed) } else { Ok(work(&mut state)) }
    }

    fn release(&self) {
        // Under the lock of the state, so that a call that is under way ends before the place is free.
        let mut state = self.state.lock();
        if !self.closed.swap(true, Ordering::AcqRel) {
            match self.member {
                Some(member) => state.leave(member),
                None => self.medium.release(&self.place),
            }
        }
    }
}

impl fmt::Debug for ModelStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelStore").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Drop for ModelStore {
    fn drop(&mut self) {
        self.release();
    }
}

#[async_trait]
impl MessageStore for ModelStore {
    fn guarantee(&self) -> Guarantee {
        Guarantee {
            survives: Survives::Nothing,
            note: Some("this store is in memory only"),
            ..Guarantee::new("model", Durability::Relaxed)
        }
    }

    fn shared(&self) -> Option<&dyn SharedStore> {
        self.member.map(|_| self as &dyn SharedStore)
    }

    async fn commit(&self, batch: Arc<Batch>) -> Result<Vec<Outcome>> {
        self.with(|state| match self.member {
            Some(member) => state.commit_of(member, &batch),
            None => state.commit(&batch),
        })?
    }

    async fn pending(&self, peer: &PeerId, after: Option<Sequence>, limit: PageLimit) -> Result<Page<Pending>> {
        self.with(|state| state.pending(peer, after, limit))
    }

    async fn deliveries(&self, identity: &Identity) -> Result<Option<Trace>> {
        self.with(|state| state.trace(identity))
    }

    async fn exchanged(&self, peer: &PeerId, show: Show) -> Result<Timestamp> {
        self.with(|state| state.exchanged(peer, &show))?;
        // It forgets nothing for its size.
        Ok(Timestamp::ZERO)
    }

    async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        after: Option<DeadLetterCursor>,
        limit: PageLimit,
    ) -> Result<Page<DeadLetter>> {
        self.with(|state| state.dead_letters(filter, after, limit))
    }

    async fn dead_letter_counts(&self) -> Result<Vec<DeadLetterCount>> {
        self.with(|state| state.dead_letter_counts())
    }

    async fn roster(&self) -> Result<Roster> {
        self.with(|state| state.roster())
    }

    async fn purge(&self, horizon: Horizon, budget: NonZeroU32) -> Result<Purged> {
        self.with(|state| {
            self.member.map_or(Ok(()), |member| state.is_member(member))?;
            Ok(state.purge(&horizon, budget))
        })?
    }

    async fn stats(&self) -> Result<Stats> {
        self.with(|state| state.stats())
    }

    async fn check(&self, _depth: Depth) -> Result<Vec<Defect>> {
        self.with(|state| state.contradictions())
    }

    async fn backup(&self, target: &Path) -> Result<()> {
        let copy = self.with(|state| state.clone())?;
        self.medium.put(target, copy)
    }

    async fn close(&self) -> Result<()> {
        self.release();
        Ok(())
    }
}
