//! The one thread that writes: it holds the engine and the ledger, and takes requests from a bounded queue.

use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use slipstream_store::{Batch, Horizon, Outcome, Purged, RememberedPeer, Result, Roster, Stats, StoreError};
use tokio::sync::{mpsc, oneshot};

use crate::engine::{Engine, Tables};
use crate::files::marker::Marker;
use crate::files::watch::Watch;
use crate::ledger::stamps::StampAges;
use crate::ledger::state::Ledger;
use crate::reading::pages;
use crate::transaction::apply::Transaction;
use crate::transaction::write_set::WriteSet;
use crate::transaction::{purge, removal};

/// Where an answer goes. Whoever asked may be gone; the work is done all the same (clause C8).
type Reply<T> = oneshot::Sender<Result<T>>;

/// What the writer is asked to do.
#[derive(Debug)]
pub(crate) enum Request {
    Commit(Arc<Batch>, Reply<Vec<Outcome>>),
    Purge(Horizon, NonZeroU32, Reply<Purged>),
    Roster(Reply<Roster>),
    Stats(Reply<Stats>),
}

/// Why the store refuses further work, once it does; shared with whoever asks.
pub(crate) type Poison = Arc<OnceLock<String>>;

#[derive(Debug)]
pub(crate) struct Writer<E> {
    pub(crate) engine: E,
    pub(crate) ledger: Ledger,
    pub(crate) marker: Marker,
    pub(crate) watch: Watch,
    pub(crate) poison: Poison,
}

impl<E: Engine> Writer<E> {
    /// Serves requests until nobody can send one any more, then waits for the readers and closes the engine in order.
    ///
    /// # Errors
    /// As [`Engine::close`]; `Unavailable` if the files are not at their paths. Nothing is done there then, since
    /// another store may be in their place.
    pub(crate) fn run(mut self, mut requests: mpsc::Receiver<Request>, readers: Vec<JoinHandle<()>>) -> Result<()> {
        while let Some(request) = requests.blocking_recv() {
            self.serve(request);
        }
        for reader in readers {
            // A reader that panicked has told whoever waited for it.
            drop(reader.join());
        }
        self.watch.look()?;
        match self.poison.get() {
            // What is on the medium is for the next opening to find out, as after a crash.
            Some(reason) => Err(StoreError::Poisoned(reason.clone())),
            None => self.marker.close(self.engine),
        }
    }

    fn serve(&mut self, request: Request) {
        // A reply that nobody waits for is no fault (clause C8).
        match request {
            Request::Commit(batch, reply) => drop(reply.send(self.guarded(|writer| writer.commit(&batch)))),
            Request::Purge(horizon, budget, reply) => {
                drop(reply.send(self.guarded(|writer| writer.purge(&horizon, budget))));
            }
            Request::Roster(reply) => drop(reply.send(self.guarded(|writer| writer.roster()))),
            Request::Stats(reply) => drop(reply.send(self.guarded(|writer| writer.stats()))),
        }
    }

    /// Runs `work` unless the store refuses work; notes it if it does from now on.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if let Some(reason) = self.poison.get() {
            return Err(StoreError::Poisoned(reason.clone()));
        }
        let answer = work(self);
        if let Err(StoreError::Poisoned(reason)) = &answer {
            self.poison.get_or_init(|| reason.clone());
        }
        answer
    }

    fn commit(&mut self, batch: &Batch) -> Result<Vec<Outcome>> {
        self.watch.look_lately()?;
        let mut transaction = Transaction::new(&self.ledger, &self.engine)?;
        let outcomes = transaction.apply(batch)?;
        removal::remove_settled(&mut transaction);
        self.write(WriteSet::of(transaction, &[], 0)?)?;
        // The files may have gone while they were written.
        self.watch.look_at_first().map_err(|gone| StoreError::Indeterminate(gone.to_string()))?;
        Ok(outcomes)
    }

    /// Makes it durable, and only then applies it to the ledger.
    fn write(&mut self, write_set: WriteSet) -> Result<()> {
        let writes = write_set.writes();
        if !writes.is_empty() {
            self.marker.begin(&mut self.engine)?;
            self.engine.apply(&writes)?;
        }
        drop(writes);
        self.ledger.apply(write_set.changes);
        Ok(())
    }

    fn purge(&mut self, horizon: &Horizon, budget: NonZeroU32) -> Result<Purged> {
        self.watch.look()?;
        // If this or the write fails, the ages are found anew by the next purge.
        let mut ages = std::mem::take(&mut self.ledger.stamp_ages);
        let (write_set, purged) = purge::purge(&self.ledger, &self.engine, &mut ages, horizon, budget)?;
        self.ledger.stamp_ages = ages;
        self.write(write_set).inspect_err(|_| self.ledger.stamp_ages = StampAges::default())?;
        self.ledger.trim_marks();
        if purged.removed > 0 && !purged.more {
            self.engine.reclaim()?;
        }
        Ok(purged)
    }

    fn roster(&self) -> Result<Roster> {
        let mut peers = Vec::with_capacity(self.ledger.peers.len());
        for state in self.ledger.peers.values() {
            let oldest = if state.backlog == 0 { None } else { pages::oldest(self.tables(), state.number)? };
            peers.push(RememberedPeer { peer: state.peer.clone(), backlog: state.backlog, oldest });
        }
        peers.sort_unstable_by(|one, other| one.peer.id.cmp(&other.peer.id));
        Ok(Roster { relay: self.ledger.relay.clone(), peers, ..Roster::default() })
    }

    fn stats(&self) -> Result<Stats> {
        Ok(self.ledger.stats(self.engine.bytes()?))
    }

    fn tables(&self) -> &dyn Tables {
        &self.engine
    }
}
