//! A relay's disk: the model store on a medium that outlives crashes, with commits that take simulated time, fail, and
//! are cut off by a crash. Several processes that are one relay share one.

pub(crate) mod store;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use slipstream::store::{Batch, MessageStore as _, Outcome, PeerId, Result};
use slipstream_conformance::{ModelMedium, ModelStore};
use tokio::time::{Instant, sleep_until};

use crate::invariants::Oracle;
use crate::network::Life;
use crate::plan::{Plan, RelayPlan};
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
    /// The handle by which the simulation looks at a store that is shared.
    looks: Option<ModelStore>,
}

#[derive(Debug)]
struct State {
    place: PathBuf,
    mood: Mood,
    /// The processes that have it open, by their hosts.
    open: BTreeMap<PeerId, Session>,
    /// Of a shared store the handles of processes that died: they stay members until they are retired.
    dead: Vec<Arc<ModelStore>>,
    /// The processes that stand still, and until when.
    paused: BTreeMap<PeerId, Instant>,
    /// Those that do not reach it, and until when.
    away: BTreeMap<PeerId, Instant>,
    commits: u64,
    synced: Option<PathBuf>,
    randomness: fastrand::Rng,
}

/// A process that has the store open.
#[derive(Debug)]
struct Session {
    model: Arc<ModelStore>,
    /// The commit that is under way.
    under_way: Option<Arc<Batch>>,
}

impl Disk {
    pub(crate) fn new(plan: &Plan, relay: &RelayPlan, world: &Arc<World>, oracle: &Arc<Oracle>) -> Arc<Self> {
        let (medium, place) = (ModelMedium::default(), PathBuf::from(relay.id.as_str()));
        let looks = (relay.hosts.len() > 1).then(|| ModelStore::open_shared(&medium, &place));
        let state = State {
            place,
            mood: Mood::well(),
            open: BTreeMap::new(),
            dead: Vec::new(),
            paused: BTreeMap::new(),
            away: BTreeMap::new(),
            commits: 0,
            synced: None,
            randomness: world.randomness(),
        };
        Arc::new(Self {
            relay: relay.id.clone(),
            world: Arc::clone(world),
            oracle: Arc::clone(oracle),
            medium,
            state: Mutex::new(state),
            syncs_every: plan.breakage.syncs_every,
            looked_at: AtomicBool::new(false),
            looks,
        })
    }

    /// Opens the model for one run of the relay.
    fn open(&self, life: &Life) -> Arc<ModelStore> {
        let mut state = self.state.lock();
        let model = match self.looks {
            Some(_) => ModelStore::open_shared(&self.medium, &state.place),
            None => ModelStore::open(&self.medium, &state.place).expect("the run before has let go of it"),
        };
        let model = Arc::new(model);
        state.open.insert(life.host.clone(), Session { model: Arc::clone(&model), under_way: None });
        model
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        if self.state.lock().mood != mood {
            self.world.note(&self.relay, format_args!("disk: {mood:?}"));
            self.state.lock().mood = mood;
        }
    }

    /// The process on a host stands still from now on, for so long.
    pub(crate) fn pause(&self, host: &PeerId, lasts: Duration) {
        self.world.note(host, format_args!("stands still for {lasts:?}"));
        self.state.lock().paused.insert(host.clone(), Instant::now() + lasts);
    }

    /// The process on a host does not reach the store from now on, for so long. Of what is under way it does not hear.
    pub(crate) fn go_away(&self, host: &PeerId, lasts: Duration) {
        self.world.note(host, format_args!("does not reach its store for {lasts:?}"));
        self.state.lock().away.insert(host.clone(), Instant::now() + lasts);
    }

    /// Whether this is the store of both.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.relay == other.relay
    }

    /// The process on a host is gone. A commit that was under way happened or did not.
    pub(crate) fn cut_off(&self, host: &PeerId) {
        let (session, happens) = {
            let mut state = self.state.lock();
            state.paused.remove(host);
            state.away.remove(host);
            let happens = state.randomness.bool();
            (state.open.remove(host), happens)
        };
        let Some(Session { model, under_way }) = session else { return };
        if let Some(batch) = under_way.filter(|_| happens) {
            self.world.note(host, "the commit under way happened");
            let _ = self.apply(&model, &batch);
        }
        if self.looks.is_some() {
            return self.state.lock().dead.push(model);
        }
        at_once(model.close()).expect("the model closes");
        let mut state = self.state.lock();
        if let Some(synced) = state.synced.take() {
            state.place = synced;
        }
    }

    /// The process on a host closes its store in order: what was begun is finished.
    fn close(&self, host: &PeerId) {
        let Some(Session { model, under_way }) = self.state.lock().open.remove(host) else { return };
        if let Some(batch) = under_way {
            let _ = self.apply(&model, &batch);
        }
        at_once(model.close()).expect("the model closes");
        self.state.lock().synced = None;
    }

    /// Reads the store, whether or not a relay has it open.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&ModelStore) -> T) -> T {
        if let Some(model) = &self.looks {
            return look(model);
        }
        let state = self.state.lock();
        match state.open.values().next() {
            Some(session) => look(&session.model),
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

    /// Waits for as long as the process on a host stands still.
    async fn moves(&self, host: &PeerId) {
        loop {
            let until = self.state.lock().paused.get(host).copied();
            match until.filter(|until| *until > Instant::now()) {
                Some(until) => sleep_until(until).await,
                None => return,
            }
        }
    }

    /// It happens or does not, and nobody hears of it.
    fn unclear(&self) -> Fate {
        Fate::Unclear { happens: self.state.lock().randomness.bool() }
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

/// What a future answers that never waits, as the model's do.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => unreachable!("the model answers at once"),
    }
}
