//! The store: hands requests to the threads and waits for their answers.

use std::fmt;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use async_trait::async_trait;
use slipstream_store::{
    Batch, DeadLetter, DeadLetterCount, DeadLetterCursor, DeadLetterFilter, Defect, Depth, Guarantee, Horizon,
    Identity, MessageStore, Outcome, Page, PageLimit, PeerId, Pending, Purged, Result, Roster, Sequence, Show, Stats,
    StoreError, Timestamp, Trace,
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::engine::{Engine, Reader, Tables};
use crate::ledger::load;
use crate::ledger::state::SharedTail;
use crate::reading::journal::Journal;
use crate::reading::{check, exchange, pages, trace};
use crate::store::opened::Opened;
use crate::store::readers::{self, Job};
use crate::store::writer::{Poison, Request, Writer};

/// How many threads read.
const READERS: usize = 3;

/// Most requests that wait for the writer, and most that wait for a reader.
const QUEUE: usize = 64;

const ENDED: &str = "a thread of the store ended unexpectedly";

/// The stack of each thread, in bytes.
const STACK: usize = 2 << 20;

/// A [`MessageStore`] on the tables of an embedded engine.
///
/// It has one thread that writes and three that read. Dropping it is like closing it without waiting: the threads
/// finish what has begun, and the lock is free a moment later.
pub struct EmbeddedStore<E: Engine> {
    guarantee: Guarantee,
    poison: Poison,
    /// Empty once the store is closed.
    queues: Mutex<Option<Queues<E>>>,
    /// The end of the index of the journal, which the writer changes.
    tail: SharedTail,
    /// How the store was closed. Its sender is with the writer, which ends last: it is gone when the lock is free.
    closed: watch::Receiver<Result<()>>,
}

struct Queues<E: Engine> {
    requests: mpsc::Sender<Request>,
    jobs: mpsc::Sender<Job<E::Reader>>,
}

impl<E: Engine> EmbeddedStore<E> {
    /// Has so many records make a run of the journal's index, for tests: usually it takes 131,072.
    #[must_use]
    pub fn with_runs_of(self, entries: usize) -> Self {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).make_runs_of(entries);
        self
    }

    #[cfg(test)]
    pub(crate) fn tail(&self) -> crate::ledger::tail::Tail {
        self.tail.lock().unwrap().clone()
    }

    /// Opens a store on these tables: reads the ledger, and starts the threads. It blocks. It writes nothing but the label,
    /// if the engine has a log; a store that it refuses is left as it was. The lock is held until the store is closed.
    ///
    /// # Errors
    /// `Corrupted` if the tables contradict each other, `Unsupported` if a row has an unknown format, `Busy`
    /// if a thread cannot be started, `Poisoned` if a sync failed.
    pub fn open(tables: Opened<E>) -> Result<Self> {
        let Opened { mut engine, guarantee, lock, mut marker } = tables;
        let mut ledger = load::load(&engine)?;
        ledger.pack_bytes = E::PACK_BYTES;
        match marker.begin_with_log(&mut engine) {
            // Reading goes all the same, and the first write tries again.
            Ok(()) | Err(StoreError::Full(_) | StoreError::Busy(_)) => {}
            Err(other) => return Err(other),
        }
        let (watch, tail) = (lock.watch()?, Arc::clone(&ledger.tail));
        let poison = Poison::new(OnceLock::new());
        let (requests, request_queue) = mpsc::channel(QUEUE);
        let (jobs, job_queue) = mpsc::channel::<Job<E::Reader>>(QUEUE);
        let (closing, closed) = watch::channel(Err(ended_unexpectedly()));
        let job_queue = Arc::new(Mutex::new(job_queue));
        let mut threads = Vec::with_capacity(READERS);
        for number in 0..READERS {
            let (reader, queue) = (engine.reader()?, Arc::clone(&job_queue));
            threads.push(spawn(&format!("store-reader-{number}"), move || readers::run(reader, &queue))?);
        }
        let writer = Writer { engine, ledger, marker, watch, poison: Arc::clone(&poison) };
        spawn("store-writer", move || {
            let ended = writer.run(request_queue, threads);
            closing.send_modify(|closed| *closed = ended);
            drop(lock);
            drop(closing);
        })?;
        let queues = Mutex::new(Some(Queues { requests, jobs }));
        Ok(Self { guarantee, poison, queues, tail, closed })
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<Result<T>>) -> Request) -> Result<T> {
        let queue = self.queue(|queues| queues.requests.clone())?;
        let (reply, answer) = oneshot::channel();
        self.answered(queue.send(request(reply)).await.is_ok(), answer).await
    }

    /// Has a reader read one snapshot.
    async fn read<T: Send + 'static>(&self, read: impl Fn(&dyn Tables) -> Result<T> + Send + 'static) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.run_job(readers::reading(read, reply), answer).await
    }

    /// Has a reader do something with its engine.
    async fn with_reader<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut E::Reader) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let job: Job<E::Reader> = Box::new(move |reader| drop(reply.send(work(reader))));
        self.run_job(job, answer).await
    }

    async fn run_job<T>(&self, job: Job<E::Reader>, answer: oneshot::Receiver<Result<T>>) -> Result<T> {
        let queue = self.queue(|queues| queues.jobs.clone())?;
        self.answered(queue.send(job).await.is_ok(), answer).await
    }

    fn queue<Q>(&self, of: impl FnOnce(&Queues<E>) -> Q) -> Result<Q> {
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queues.as_ref().map(of).ok_or(StoreError::Closed)?;
        match self.poison.get() {
            Some(reason) => Err(StoreError::Poisoned(reason.clone())),
            None => Ok(queue),
        }
    }

    async fn answered<T>(&self, sent: bool, answer: oneshot::Receiver<Result<T>>) -> Result<T> {
        match answer.await {
            Ok(answer) if sent => answer,
            // A thread ends only when the store is closed, or by a panic.
            _ => {
                self.poison.get_or_init(|| ENDED.to_owned());
                Err(ended_unexpectedly())
            }
        }
    }
}

impl<E: Engine> Opened<E> {
    /// Reads the ledger and starts the threads; see [`EmbeddedStore::open`].
    ///
    /// # Errors
    /// As [`EmbeddedStore::open`].
    pub fn into_store(self) -> Result<EmbeddedStore<E>> {
        EmbeddedStore::open(self)
    }
}

fn ended_unexpectedly() -> StoreError {
    StoreError::Poisoned(ENDED.to_owned())
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<thread::JoinHandle<()>> {
    let thread = thread::Builder::new().name(name.to_owned()).stack_size(STACK).spawn(work);
    thread.map_err(|error| StoreError::Busy(format!("starting the thread {name}: {error}")))
}

impl<E: Engine> fmt::Debug for EmbeddedStore<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedStore").field("guarantee", &self.guarantee).finish_non_exhaustive()
    }
}

#[async_trait]
impl<E: Engine> MessageStore for EmbeddedStore<E> {
    fn guarantee(&self) -> Guarantee {
        self.guarantee.clone()
    }

    async fn commit(&self, batch: Arc<Batch>) -> Result<Vec<Outcome>> {
        self.ask(|reply| Request::Commit(batch, reply)).await
    }

    async fn pending(&self, peer: &PeerId, after: Option<Sequence>, limit: PageLimit) -> Result<Page<Pending>> {
        let peer = peer.clone();
        self.read(move |tables| pages::pending(tables, &peer, after, limit)).await
    }

    async fn deliveries(&self, identity: &Identity) -> Result<Option<Trace>> {
        let identity = identity.clone();
        // Copied before there is a view on the tables.
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.read(move |tables| {
            let trace = Journal::of(tables, &tail).and_then(|journal| trace::trace(&journal, &identity));
            trace.map_err(|error| trace::about(&identity, error))
        })
        .await
    }

    async fn exchanged(&self, peer: &PeerId, show: Show) -> Result<Timestamp> {
        let peer = peer.clone();
        self.read(move |tables| exchange::exchanged(tables, &peer, &show)).await
    }

    async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        after: Option<DeadLetterCursor>,
        limit: PageLimit,
    ) -> Result<Page<DeadLetter>> {
        let filter = filter.clone();
        self.read(move |tables| pages::dead_letters(tables, &filter, after.as_ref(), limit)).await
    }

    async fn dead_letter_counts(&self) -> Result<Vec<DeadLetterCount>> {
        self.read(pages::dead_letter_counts).await
    }

    async fn roster(&self) -> Result<Roster> {
        self.ask(Request::Roster).await
    }

    async fn purge(&self, horizon: Horizon, budget: NonZeroU32) -> Result<Purged> {
        self.ask(|reply| Request::Purge(horizon, budget, reply)).await
    }

    async fn stats(&self) -> Result<Stats> {
        self.ask(Request::Stats).await
    }

    async fn check(&self, depth: Depth) -> Result<Vec<Defect>> {
        let mut defects = self.with_reader(move |reader| reader.verify(depth)).await?;
        if defects.is_empty() {
            defects = self.read(move |tables| check::check(tables, depth)).await?;
        }
        Ok(defects)
    }

    async fn backup(&self, target: &Path) -> Result<()> {
        let target = target.to_owned();
        self.with_reader(move |reader| reader.backup(&target)).await
    }

    async fn close(&self) -> Result<()> {
        drop(self.queues.lock().unwrap_or_else(PoisonError::into_inner).take());
        let mut closed = self.closed.clone();
        // It ends when the writer has.
        while closed.changed().await.is_ok() {}
        match self.poison.get() {
            Some(reason) => Err(StoreError::Poisoned(reason.clone())),
            None => closed.borrow().clone(),
        }
    }
}
