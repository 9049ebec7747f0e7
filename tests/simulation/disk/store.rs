//! The store that a relay sees of its disk: calls take time, fail, are out of reach, and end with the process.

use std::fmt;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use slipstream::store::{
    Batch, DeadLetter, DeadLetterCount, DeadLetterCursor, DeadLetterFilter, Defect, Depth, Guarantee, Horizon,
    Identity, Member, MemberId, MessageStore, News, Outcome, Owed, Page, PageLimit, PeerId, Pending, Purged,
    RememberedPeer, Result, Roster, Sequence, SharedStore, Show, Stats, StoreError, Timestamp, Trace,
};
use slipstream_conformance::ModelStore;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Disk, Fate, at_once};
use crate::network::Life;

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
    /// Opens the store of a disk for one run of its relay.
    pub(crate) fn open(disk: &Arc<Disk>, life: &Life) -> Self {
        Self { disk: Arc::clone(disk), life: life.clone(), model: disk.open(life), poisoned: Arc::default() }
    }

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
