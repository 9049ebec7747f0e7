//! The store itself: it hands work to its thread and waits for the answers.

use std::fmt;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use async_trait::async_trait;
use slipstream_store::{
    Batch, DeadLetter, DeadLetterCursor, DeadLetterFilter, Defect, Depth, Durability, Guarantee, Horizon, Identity,
    MessageStore, Outcome, Page, PageLimit, PeerId, Pending, Purged, Result, Roster, Sequence, Show, Stats, StoreError,
    Timestamp, Trace,
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::image;
use crate::keeper::Keeper;

/// Most calls that wait for the thread; those beyond it wait for a place.
const QUEUE: usize = 64;

/// Something for the thread to do.
type Job = Box<dyn FnOnce(&mut Keeper) + Send>;

/// A [`MessageStore`] that keeps everything in memory, and every change in one journal file.
///
/// Dropping it is like closing it without waiting: the thread finishes what has begun, and the place is free a moment
/// later.
pub struct JournalStore {
    guarantee: Guarantee,
    /// Empty once the store is closed.
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    /// Why the store refuses further work, once it does.
    poison: Arc<OnceLock<String>>,
    /// Its sender is with the thread: it ends when the thread has let go of everything.
    running: watch::Receiver<()>,
}

impl JournalStore {
    /// Opens the store in a folder, and makes it where there is none.
    ///
    /// It blocks for as long as it takes to read the journal; in an async program call it in `spawn_blocking`.
    ///
    /// # Errors
    /// `InUse` where it is open already; `Corrupted` where it is damaged and `Unsupported` where a later version wrote
    /// it, in both cases leaving it as it was; `Busy` or `Full` where the files cannot be made.
    pub fn open(folder: impl AsRef<Path>, durability: Durability) -> Result<Self> {
        let mut keeper = Keeper::open(folder.as_ref(), durability)?;
        let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE);
        let (alive, running) = watch::channel(());
        let poison = Arc::new(OnceLock::new());
        let refuses = Arc::clone(&poison);
        let thread = thread::Builder::new().name("journal-store".to_owned()).spawn(move || {
            while let Some(job) = queue.blocking_recv() {
                job(&mut keeper);
            }
            if refuses.get().is_none()
                && let Err(error) = keeper.journal.seal()
            {
                refuses.get_or_init(|| error.to_string());
            }
            drop(keeper);
            drop(alive);
        });
        thread.map_err(|error| StoreError::Busy(format!("starting the store's thread: {error}")))?;
        Ok(Self { guarantee: Guarantee::new("journal", durability), jobs: Mutex::new(Some(jobs)), poison, running })
    }

    /// Has the thread do something, and waits for the answer. Once the work is in the queue it is done, whether or not
    /// anyone still waits (clause C8).
    async fn ask<T: Send + 'static>(&self, work: impl FnOnce(&mut Keeper) -> Result<T> + Send + 'static) -> Result<T> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        let poison = Arc::clone(&self.poison);
        let job: Job = Box::new(move |keeper| {
            let refusal = poison.get().cloned().map(StoreError::Poisoned);
            let answer = refusal.map_or_else(|| work(keeper), Err);
            if let Err(StoreError::Poisoned(reason)) = &answer {
                poison.get_or_init(|| reason.clone());
            }
            drop(reply.send(answer));
        });
        let sent = jobs.send(job).await;
        match answer.await {
            Ok(answer) if sent.is_ok() => answer,
            // While the queue is open, the thread ends by a panic only.
            _ => {
                let reason = self.poison.get_or_init(|| "the store's thread has panicked".to_owned());
                Err(StoreError::Poisoned(reason.clone()))
            }
        }
    }
}

impl fmt::Debug for JournalStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournalStore").field("guarantee", &self.guarantee).finish_non_exhaustive()
    }
}

#[async_trait]
impl MessageStore for JournalStore {
    fn guarantee(&self) -> Guarantee {
        self.guarantee.clone()
    }

    async fn commit(&self, batch: Arc<Batch>) -> Result<Vec<Outcome>> {
        self.ask(move |keeper| keeper.commit(&batch)).await
    }

    async fn pending(&self, peer: &PeerId, after: Option<Sequence>, limit: PageLimit) -> Result<Page<Pending>> {
        let peer = peer.clone();
        self.ask(move |keeper| Ok(keeper.state.pending(&peer, after, limit))).await
    }

    async fn deliveries(&self, identity: &Identity) -> Result<Option<Trace>> {
        let identity = identity.clone();
        self.ask(move |keeper| Ok(keeper.state.trace(&identity))).await
    }

    async fn exchanged(&self, peer: &PeerId, show: Show) -> Result<Timestamp> {
        let peer = peer.clone();
        self.ask(move |keeper| {
            keeper.state.exchanged(&peer, &show);
            Ok(keeper.state.whole_since)
        })
        .await
    }

    async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        after: Option<DeadLetterCursor>,
        limit: PageLimit,
    ) -> Result<Page<DeadLetter>> {
        let filter = filter.clone();
        self.ask(move |keeper| Ok(keeper.state.dead_letters(&filter, after, limit))).await
    }

    async fn roster(&self) -> Result<Roster> {
        self.ask(|keeper| Ok(keeper.state.roster())).await
    }

    async fn purge(&self, horizon: Horizon, budget: NonZeroU32) -> Result<Purged> {
        self.ask(move |keeper| keeper.purge(horizon, budget)).await
    }

    async fn stats(&self) -> Result<Stats> {
        self.ask(|keeper| Ok(keeper.stats())).await
    }

    async fn check(&self, depth: Depth) -> Result<Vec<Defect>> {
        self.ask(move |keeper| keeper.check(depth)).await
    }

    async fn backup(&self, target: &Path) -> Result<()> {
        let target = target.to_owned();
        self.ask(move |keeper| image::back_up(&target, &keeper.state)).await
    }

    async fn close(&self) -> Result<()> {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        let mut running = self.running.clone();
        // Nothing is ever sent: this ends when the thread has.
        while running.changed().await.is_ok() {}
        self.poison.get().cloned().map_or(Ok(()), |reason| Err(StoreError::Poisoned(reason)))
    }
}
