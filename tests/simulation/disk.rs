//! A relay's disk: the model store on a medium that outlives crashes, with commits that take simulated time, fail, and
//! are cut off by a crash.

use std::fmt;
use std::future::Future;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use slipstream::store::{
    Batch, DeadLetter, DeadLetterCount, DeadLetterCursor, DeadLetterFilter, Defect, Depth, Guarantee, Horizon,
    Identity, MessageStore, Outcome, Page, PageLimit, PeerId, Pending, Purged, Result, Roster, Sequence, Show, Stats,
    StoreError, Timestamp, Trace,
};
use slipstream_conformance::{ModelMedium, ModelStore};
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::invariants::Oracle;
use crate::network::Life;
use crate::world::World;

/// What the disk does to the calls that come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Mood {
    /// How long a commit takes at most.
    pub(crate) slowest: Duration,
    /// Of a thousand commits: how many find it busy, how many leave it unclear whether they happened, how many poison it.
    pub(crate) busy: u32,
    pub(crate) unclear: u32,
    pub(crate) poisoned: u32,
    /// Whether there is no room for messages.
    pub(crate) full: bool,
}

impl Mood {
    pub(crate) fn well() -> Self {
        Self { slowest: Duration::from_millis(8), ..Self::default() }
    }
}

/// The disk of one relay.
#[derive(Debug)]
pub(crate) struct Disk {
    relay: PeerId,
    world: Arc<World>,
    oracle: Arc<Oracle>,
    medium: ModelMedium,
    state: Mutex<State>,
    /// Every that many commits it really syncs; what came after the last sync is lost in a crash, although it was
    /// said to be durable. An honest disk has 1.
    syncs_every: u64,
    /// Whether it is the simulation that looks: it takes neither time nor randomness.
    looked_at: AtomicBool,
}

#[derive(Debug)]
struct State {
    place: PathBuf,
    mood: Mood,
    model: Option<Arc<ModelStore>>,
    commits: u64,
    synced: Option<PathBuf>,
    /// The commit that is under way.
    under_way: Option<Arc<Batch>>,
    randomness: fastrand::Rng,
}

impl Disk {
    pub(crate) fn new(relay: &PeerId, world: &Arc<World>, oracle: &Arc<Oracle>, syncs_every: u64) -> Arc<Self> {
        let state = State {
            place: PathBuf::from(relay.as_str()),
            mood: Mood::well(),
            model: None,
            commits: 0,
            synced: None,
            under_way: None,
            randomness: world.randomness(),
        };
        Arc::new(Self {
            relay: relay.clone(),
            world: Arc::clone(world),
            oracle: Arc::clone(oracle),
            medium: ModelMedium::default(),
            state: Mutex::new(state),
            syncs_every,
            looked_at: AtomicBool::new(false),
        })
    }

    /// Opens the store for one run of the relay.
    pub(crate) fn open(self: &Arc<Self>, life: &Life) -> SimStore {
        let mut state = self.state.lock();
        let model = Arc::new(ModelStore::open(&self.medium, &state.place).expect("the run before has let go of it"));
        state.model = Some(Arc::clone(&model));
        drop(state);
        SimStore { disk: Arc::clone(self), life: life.clone(), model, poisoned: Arc::default() }
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        if self.state.lock().mood != mood {
            self.world.note(&self.relay, format_args!("disk: {mood:?}"));
            self.state.lock().mood = mood;
        }
    }

    /// The relay is gone. A commit that was under way happened or did not.
    pub(crate) fn cut_off(&self) {
        let (batch, model) = {
            let mut state = self.state.lock();
            let happens = state.randomness.bool();
            (state.under_way.take().filter(|_| happens), state.model.take())
        };
        let Some(model) = model else { return };
        if let Some(batch) = batch {
            self.world.note(&self.relay, "the commit under way happened");
            let _ = self.apply(&model, &batch);
        }
        at_once(model.close()).expect("the model closes");
        let mut state = self.state.lock();
        if let Some(synced) = state.synced.take() {
            state.place = synced;
        }
    }

    /// The relay closes its store in order: what was begun is finished.
    fn close(&self) {
        let (batch, model) = {
            let mut state = self.state.lock();
            (state.under_way.take(), state.model.take())
        };
        let Some(model) = model else { return };
        if let Some(batch) = batch {
            let _ = self.apply(&model, &batch);
        }
        at_once(model.close()).expect("the model closes");
        self.state.lock().synced = None;
    }

    /// Reads the store, whether or not a relay has it open.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&ModelStore) -> T) -> T {
        let state = self.state.lock();
        match &state.model {
            Some(model) => look(model),
            None => look(&ModelStore::open(&self.medium, &state.place).expect("nobody has it open")),
        }
    }

    /// Has the relay look at itself, as nobody in the simulation can: without time going on.
    pub(crate) fn at_once<T>(&self, look: impl Future<Output = T>) -> T {
        self.looked_at.store(true, Ordering::Relaxed);
        let seen = at_once(look);
        self.looked_at.store(false, Ordering::Relaxed);
        seen
    }

    fn apply(&self, model: &ModelStore, batch: &Arc<Batch>) -> Result<Vec<Outcome>> {
        let outcomes = at_once(model.commit(Arc::clone(batch)))?;
        self.oracle.committed(&self.relay, batch, &outcomes);
        let mut state = self.state.lock();
        state.commits += 1;
        if self.syncs_every > 1 && state.commits.is_multiple_of(self.syncs_every) {
            let copy = PathBuf::from(format!("{}.{}", self.relay, state.commits));
            at_once(model.backup(&copy))?;
            state.synced = Some(copy);
        }
        Ok(outcomes)
    }

    fn take_time(&self) -> Duration {
        let mut state = self.state.lock();
        let slowest = u64::try_from(state.mood.slowest.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(state.randomness.u64(0..=slowest))
    }

    fn fate(&self, batch: &Batch) -> Fate {
        let mut state = self.state.lock();
        let draw = state.randomness.u32(0..1000);
        let happens = state.randomness.bool();
        let State { mood, .. } = &*state;
        let records = batch.operations.iter().any(|it| matches!(it, slipstream::store::Operation::Record(_)));
        if mood.full && records {
            Fate::Full
        } else if draw < mood.poisoned {
            Fate::Poisoned
        } else if draw < mood.poisoned + mood.busy {
            Fate::Busy
        } else if draw < mood.poisoned + mood.busy + mood.unclear {
            Fate::Unclear { happens }
        } else {
            Fate::Done
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    Done,
    Busy,
    Full,
    Unclear { happens: bool },
    Poisoned,
}

/// The store that one run of a relay has open.
#[derive(Clone)]
pub(crate) struct SimStore {
    disk: Arc<Disk>,
    life: Life,
    model: Arc<ModelStore>,
    poisoned: Arc<AtomicBool>,
}

impl fmt::Debug for SimStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimStore").field("relay", &self.disk.relay).finish_non_exhaustive()
    }
}

impl SimStore {
    fn check_alive(&self) -> Result<()> {
        if self.life.is_over() {
            Err(StoreError::Closed)
        } else if self.poisoned.load(Ordering::Relaxed) {
            Err(StoreError::Poisoned("a sync failed".to_owned()))
        } else {
            Ok(())
        }
    }

    /// A read: what it answers is as of some moment while it ran.
    async fn read<T>(&self, read: impl Fn(&ModelStore) -> Result<T>) -> Result<T> {
        self.check_alive()?;
        if self.disk.looked_at.load(Ordering::Relaxed) {
            return read(&self.model);
        }
        let first = self.disk.state.lock().randomness.bool();
        let pause = self.disk.take_time();
        let early = first.then(|| read(&self.model));
        sleep(pause).await;
        self.check_alive()?;
        early.unwrap_or_else(|| read(&self.model))
    }

    fn finish(&self, batch: &Arc<Batch>, fate: Fate) -> Result<Vec<Outcome>> {
        let disk = &self.disk;
        let unclear = || StoreError::Indeterminate("the disk did not say".to_owned());
        match fate {
            Fate::Done => disk.apply(&self.model, batch),
            Fate::Busy => Err(StoreError::Busy("the disk is busy".to_owned())),
            Fate::Full => Err(StoreError::Full("no room".to_owned())),
            Fate::Unclear { happens: false } => Err(unclear()),
            Fate::Unclear { happens: true } => disk.apply(&self.model, batch).and_then(|_| Err(unclear())),
            Fate::Poisoned => {
                self.poisoned.store(true, Ordering::Relaxed);
                self.check_alive().map(|()| Vec::new())
            }
        }
    }
}

#[async_trait]
impl MessageStore for SimStore {
    fn guarantee(&self) -> Guarantee {
        self.model.guarantee()
    }

    async fn commit(&self, batch: Arc<Batch>) -> Result<Vec<Outcome>> {
        self.check_alive()?;
        let (pause, fate) = (self.disk.take_time(), self.disk.fate(&batch));
        self.disk.state.lock().under_way = Some(Arc::clone(&batch));
        // The writer works on, whether or not anyone waits for it.
        let writer = self.clone();
        let (answer, answered) = oneshot::channel();
        tokio::spawn(async move {
            sleep(pause).await;
            let begun = !writer.life.is_over() && writer.disk.state.lock().under_way.take().is_some();
            let _ = answer.send(if begun { writer.finish(&batch, fate) } else { Err(StoreError::Closed) });
        });
        let result = answered.await.unwrap_or(Err(StoreError::Closed));
        if let Err(error) = &result {
            self.disk.world.note(&self.disk.relay, format_args!("commit: {error}"));
        }
        result
    }

    async fn pending(&self, peer: &PeerId, after: Option<Sequence>, limit: PageLimit) -> Result<Page<Pending>> {
        self.read(|model| at_once(model.pending(peer, after, limit))).await
    }

    async fn deliveries(&self, identity: &Identity) -> Result<Option<Trace>> {
        self.read(|model| at_once(model.deliveries(identity))).await
    }

    async fn exchanged(&self, peer: &PeerId, show: Show) -> Result<Timestamp> {
        self.read(|model| at_once(model.exchanged(peer, show.clone()))).await
    }

    async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        after: Option<DeadLetterCursor>,
        limit: PageLimit,
    ) -> Result<Page<DeadLetter>> {
        self.read(|model| at_once(model.dead_letters(filter, after.clone(), limit))).await
    }

    async fn dead_letter_counts(&self) -> Result<Vec<DeadLetterCount>> {
        self.read(|model| at_once(model.dead_letter_counts())).await
    }

    async fn roster(&self) -> Result<Roster> {
        self.check_alive()?;
        at_once(self.model.roster())
    }

    async fn purge(&self, horizon: Horizon, budget: NonZeroU32) -> Result<Purged> {
        self.check_alive()?;
        sleep(self.disk.take_time()).await;
        self.check_alive()?;
        let purged = at_once(self.model.purge(horizon, budget))?;
        self.disk.oracle.purged(&self.disk.relay, &horizon, &purged);
        Ok(purged)
    }

    async fn stats(&self) -> Result<Stats> {
        self.check_alive()?;
        at_once(self.model.stats())
    }

    async fn check(&self, depth: Depth) -> Result<Vec<Defect>> {
        at_once(self.model.check(depth))
    }

    async fn backup(&self, target: &Path) -> Result<()> {
        at_once(self.model.backup(target))
    }

    async fn close(&self) -> Result<()> {
        if !self.life.is_over() {
            self.disk.close();
        }
        Ok(())
    }
}

/// What a future answers that never waits, as the model's do.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => unreachable!("the model answers at once"),
    }
}
