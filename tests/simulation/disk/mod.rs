//! A relay's disk: the model store on a medium that outlives crashes, with commits that take simulated time, fail, and
//! are cut off by a crash. Several processes that are one relay share one.

use std::collections::BTreeMap;
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
    Identity, Member, MemberId, MessageStore, News, Outcome, Owed, Page, PageLimit, PeerId, Pending, Purged,
    RememberedPeer, Result, Roster, Sequence, SharedStore, Show, Stats, StoreError, Timestamp, Trace,
};
use slipstream_conformance::{ModelMedium, ModelStore};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until};

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

    /// Opens the store for one run of the relay.
    pub(crate) fn open(self: &Arc<Self>, life: &Life) -> SimStore {
        let mut state = self.state.lock();
        let model = match self.looks {
            Some(_) => ModelStore::open_shared(&self.medium, &state.place),
            None => ModelStore::open(&self.medium, &state.place).expect("the run before has let go of it"),
        };
        let model = Arc::new(model);
        state.open.insert(life.host.clone(), Session { model: Arc::clone(&model), under_way: None });
        drop(state);
        SimStore { disk: Arc::clone(self), life: life.clone(), model, poisoned: Arc::default() }
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

    fn is_away(&self) -> bool {
        self.disk.state.lock().away.get(&self.life.host).is_some_and(|until| *until > Instant::now())
    }

    /// The store can be reached by this process.
    fn check_reach(&self) -> Result<()> {
        self.check_alive()?;
        if self.is_away() { Err(StoreError::Unavailable("it is out of reach".to_owned())) } else { Ok(()) }
    }

    /// A read: what it answers is as of some moment while it ran.
    async fn read<T>(&self, read: impl Fn(&ModelStore) -> Result<T>) -> Result<T> {
        self.check_alive()?;
        if self.disk.looked_at.load(Ordering::Relaxed) {
            return read(&self.model);
        }
        self.disk.moves(&self.life.host).await;
        self.check_reach()?;
        let first = self.disk.state.lock().randomness.bool();
        let pause = self.disk.take_time();
        let early = first.then(|| read(&self.model));
        sleep(pause).await;
        self.disk.moves(&self.life.host).await;
        self.check_reach()?;
        early.unwrap_or_else(|| read(&self.model))
    }

    /// Something that changes what a member has. It happens at once, or the store is busy, or it does not say; each takes
    /// time before and after.
    async fn change<T>(&self, change: impl FnOnce(&dyn SharedStore) -> Result<T>) -> Result<T> {
        let (disk, host) = (&self.disk, &self.life.host);
        self.check_alive()?;
        disk.moves(host).await;
        self.check_reach()?;
        sleep(disk.take_time()).await;
        self.check_reach()?;
        let member = self.model.shared().ok_or(StoreError::Closed)?;
        let changed = match disk.fate(&Batch::default()) {
            Fate::Done | Fate::Full | Fate::Poisoned => change(member),
            Fate::Busy => Err(StoreError::Busy("the disk is busy".to_owned())),
            Fate::Unclear { happens } => {
                if happens {
                    change(member)?;
                }
                Err(StoreError::Indeterminate("the disk did not say".to_owned()))
            }
        };
        sleep(disk.take_time()).await;
        disk.moves(host).await;
        self.check_alive()?;
        if self.is_away() {
            return Err(StoreError::Indeterminate("it is out of reach".to_owned()));
        }
        changed
    }

    /// Notes what commit is under way, and returns the one before.
    fn under_way(&self, batch: Option<Arc<Batch>>) -> Option<Arc<Batch>> {
        let mut state = self.disk.state.lock();
        let session = state.open.get_mut(&self.life.host)?;
        std::mem::replace(&mut session.under_way, batch)
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

    fn shared(&self) -> Option<&dyn SharedStore> {
        self.model.shared().map(|_| self as &dyn SharedStore)
    }

    async fn commit(&self, batch: Arc<Batch>) -> Result<Vec<Outcome>> {
        self.check_alive()?;
        self.disk.moves(&self.life.host).await;
        self.check_reach()?;
        let (pause, fate) = (self.disk.take_time(), self.disk.fate(&batch));
        self.under_way(Some(Arc::clone(&batch)));
        // The writer works on, whether or not anyone waits for it.
        let writer = self.clone();
        let (answer, answered) = oneshot::channel();
        tokio::spawn(async move {
            sleep(pause).await;
            let begun = !writer.life.is_over() && writer.under_way(None).is_some();
            let fate = if writer.is_away() { writer.disk.unclear() } else { fate };
            let _ = answer.send(if begun { writer.finish(&batch, fate) } else { Err(StoreError::Closed) });
        });
        let mut result = answered.await.unwrap_or(Err(StoreError::Closed));
        self.disk.moves(&self.life.host).await;
        if result.is_ok() && self.is_away() {
            result = Err(StoreError::Indeterminate("it is out of reach".to_owned()));
        }
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
        // A relay that has its store for itself reads it in no time, as ever.
        match self.model.shared() {
            Some(_) => self.read(|model| at_once(model.roster())).await,
            None => self.check_alive().and_then(|()| at_once(self.model.roster())),
        }
    }

    async fn purge(&self, horizon: Horizon, budget: NonZeroU32) -> Result<Purged> {
        self.check_reach()?;
        sleep(self.disk.take_time()).await;
        self.check_reach()?;
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
            self.disk.close(&self.life.host);
        }
        Ok(())
    }
}

#[async_trait]
impl SharedStore for SimStore {
    fn member(&self) -> MemberId {
        self.model.member()
    }

    async fn claim(&self, peer: &PeerId) -> Result<Option<RememberedPeer>> {
        self.change(|member| at_once(member.claim(peer))).await
    }

    async fn release(&self, peer: &PeerId) -> Result<()> {
        self.change(|member| at_once(member.release(peer))).await
    }

    async fn take_duty(&self, duty: &str) -> Result<bool> {
        self.change(|member| at_once(member.take_duty(duty))).await
    }

    async fn leave_duty(&self, duty: &str) -> Result<()> {
        self.change(|member| at_once(member.leave_duty(duty))).await
    }

    /// Nothing wakes it: it looks now and then.
    async fn news(&self, most: Duration) -> Result<News> {
        let ends = Instant::now() + most;
        loop {
            self.check_alive()?;
            self.disk.moves(&self.life.host).await;
            self.check_reach()?;
            let member = self.model.shared().ok_or(StoreError::Closed)?;
            let news = at_once(member.news(Duration::ZERO))?;
            if news != News::NONE || Instant::now() >= ends {
                return Ok(news);
            }
            let pause = 10 * self.disk.take_time() + Duration::from_millis(1);
            sleep_until(ends.min(Instant::now() + pause)).await;
        }
    }

    async fn claimed_by_others(&self) -> Result<Vec<PeerId>> {
        self.read(|model| model.shared().map_or(Err(StoreError::Closed), |member| at_once(member.claimed_by_others())))
            .await
    }

    fn interleaved(&self) -> Owed {
        self.model.interleaved()
    }

    async fn beat(&self) -> Result<Vec<Member>> {
        self.change(|member| at_once(member.beat())).await
    }

    async fn retire(&self, member: Member) -> Result<bool> {
        self.change(|own| at_once(own.retire(member))).await
    }
}

/// What a future answers that never waits, as the model's do.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => unreachable!("the model answers at once"),
    }
}
