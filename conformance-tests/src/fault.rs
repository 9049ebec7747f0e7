//! A store that fails and waits when it is told to.

use std::future::Future;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use slipstream_store::{
    Batch, DeadLetter, DeadLetterCount, DeadLetterCursor, DeadLetterFilter, Defect, Depth, Guarantee, Horizon,
    Identity, Member, MemberId, MessageStore, News, Outcome, Owed, Page, PageLimit, PeerId, Pending, Purged,
    RememberedPeer, Result, Roster, Sequence, SharedStore, Show, Stats, StoreError, Timestamp, Trace,
};
use tokio::sync::watch;

/// The calls of a [`MessageStore`] and of a [`SharedStore`] that can be made to fail or to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the method of this name")]
pub enum Call {
    Commit,
    Pending,
    Deliveries,
    Exchanged,
    DeadLetters,
    DeadLetterCounts,
    Roster,
    Purge,
    Stats,
    Check,
    Backup,
    Close,
    Claim,
    Release,
    ClaimedByOthers,
    TakeDuty,
    LeaveDuty,
    News,
    Beat,
    Retire,
}

/// When a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum When {
    /// Before the store underneath was called: nothing was done.
    Before,
    /// After the store underneath carried the call out: what it answered is lost.
    After,
}

/// A store that passes every call on to another, except for what its [`Faults`] say.
///
/// As the contract wants it, a store that has answered `Poisoned` answers nothing else from then on.
#[derive(Debug)]
pub struct FaultStore<S> {
    inner: S,
    faults: Faults,
}

impl<S: MessageStore> FaultStore<S> {
    fn shared_inner(&self) -> Result<&dyn SharedStore> {
        self.inner.shared().ok_or_else(|| StoreError::Unsupported("the store underneath is not shared".to_owned()))
    }

    /// Wraps a store. The handle stays valid while the store is shared and used.
    #[must_use]
    pub fn new(inner: S) -> (Self, Faults) {
        let faults = Faults::default();
        (Self { inner, faults: faults.clone() }, faults)
    }

    async fn pass<T: Send>(&self, call: Call, inner: impl Future<Output = Result<T>> + Send) -> Result<T> {
        self.faults.wait(call).await;
        match self.faults.next(call) {
            None => inner.await,
            Some((error, When::Before)) => Err(error),
            Some((error, When::After)) => {
                inner.await?;
                Err(error)
            }
        }
    }
}

/// Says which coming calls of a [`FaultStore`] fail and which wait. Clones say it to the same store.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    script: Arc<Mutex<Script>>,
}

#[derive(Debug, Default)]
struct Script {
    planned: Vec<Planned>,
    gates: Vec<Gate>,
    poisoned: Option<StoreError>,
}

#[derive(Debug)]
struct Planned {
    call: Call,
    /// How many calls of this kind go before.
    after: u32,
    error: StoreError,
    when: When,
}

#[derive(Debug, Clone)]
struct Gate {
    call: Call,
    /// Ends when the [`Held`] is dropped.
    release: watch::Receiver<()>,
    arrived: watch::Sender<usize>,
}

impl Faults {
    /// Makes the coming call of this kind fail.
    pub fn fail_next(&self, call: Call, error: StoreError, when: When) {
        self.fail_after(0, call, error, when);
    }

    /// Makes the call of this kind fail that comes after `after` others, counted from now. If several failures
    /// fall on one call, the first that was planned counts, and the others fall on those that follow.
    pub fn fail_after(&self, after: u32, call: Call, error: StoreError, when: When) {
        self.script.lock().planned.push(Planned { call, after, error, when });
    }

    /// Takes back every failure that was planned and has not fallen on a call.
    pub fn clear(&self) {
        self.script.lock().planned.clear();
    }

    /// Holds the coming calls of this kind back, before they do anything, until the answer is dropped: a slow disk.
    /// A call that is dropped while it is held has not begun.
    #[must_use = "dropping it lets the calls go"]
    pub fn hold(&self, call: Call) -> Held {
        let (guard, release) = watch::channel(());
        let (arrived, arrivals) = watch::channel(0);
        self.script.lock().gates.push(Gate { call, release, arrived });
        Held { _guard: guard, arrivals }
    }

    async fn wait(&self, call: Call) {
        let gates: Vec<Gate> = self.script.lock().gates.iter().filter(|gate| gate.call == call).cloned().collect();
        for mut gate in gates {
            gate.arrived.send_modify(|arrived| *arrived += 1);
            // Nothing is ever sent: the wait ends, with an error, when the other end is dropped.
            while gate.release.changed().await.is_ok() {}
        }
        self.script.lock().gates.retain(|gate| gate.release.has_changed().is_ok());
    }

    /// The failure that falls on this call, if any.
    fn next(&self, call: Call) -> Option<(StoreError, When)> {
        let mut script = self.script.lock();
        if let Some(error) = &script.poisoned {
            // A poisoned store still lets go of its place.
            let when = if call == Call::Close { When::After } else { When::Before };
            return Some((error.clone(), when));
        }
        let at = script.planned.iter().position(|planned| planned.call == call && planned.after == 0);
        let fault = at.map(|at| script.planned.remove(at));
        for planned in script.planned.iter_mut().filter(|planned| planned.call == call) {
            planned.after = planned.after.saturating_sub(1);
        }
        let fault = fault?;
        if matches!(fault.error, StoreError::Poisoned(_)) {
            script.poisoned = Some(fault.error.clone());
        }
        Some((fault.error, fault.when))
    }
}

/// Calls that are held back; they go on when this is dropped.
#[derive(Debug)]
pub struct Held {
    _guard: watch::Sender<()>,
    arrivals: watch::Receiver<usize>,
}

impl Held {
    /// Waits until this many calls have come to be held. Dropping the future does no harm.
    pub async fn arrived(&mut self, calls: usize) {
        // It fails only if the store is gone, and then nothing comes any more.
        let _ = self.arrivals.wait_for(|arrived| *arrived >= calls).await;
    }
}

#[async_trait]
impl<S: MessageStore> MessageStore for FaultStore<S> {
    fn guarantee(&self) -> Guarantee {
        self.inner.guarantee()
    }

    fn shared(&self) -> Option<&dyn SharedStore> {
        self.inner.shared().map(|_| self as &dyn SharedStore)
    }

    async fn commit(&self, batch: Arc<Batch>) -> Result<Vec<Outcome>> {
        self.pass(Call::Commit, self.inner.commit(batch)).await
    }

    async fn pending(&self, peer: &PeerId, after: Option<Sequence>, limit: PageLimit) -> Result<Page<Pending>> {
        self.pass(Call::Pending, self.inner.pending(peer, after, limit)).await
    }

    async fn deliveries(&self, identity: &Identity) -> Result<Option<Trace>> {
        self.pass(Call::Deliveries, self.inner.deliveries(identity)).await
    }

    async fn exchanged(&self, peer: &PeerId, show: Show) -> Result<Timestamp> {
        self.pass(Call::Exchanged, self.inner.exchanged(peer, show)).await
    }

    async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        after: Option<DeadLetterCursor>,
        limit: PageLimit,
    ) -> Result<Page<DeadLetter>> {
        self.pass(Call::DeadLetters, self.inner.dead_letters(filter, after, limit)).await
    }

    async fn dead_letter_counts(&self) -> Result<Vec<DeadLetterCount>> {
        self.pass(Call::DeadLetterCounts, self.inner.dead_letter_counts()).await
    }

    async fn roster(&self) -> Result<Roster> {
        self.pass(Call::Roster, self.inner.roster()).await
    }

    async fn purge(&self, horizon: Horizon, budget: NonZeroU32) -> Result<Purged> {
        self.pass(Call::Purge, self.inner.purge(horizon, budget)).await
    }

    async fn stats(&self) -> Result<Stats> {
        self.pass(Call::Stats, self.inner.stats()).await
    }

    async fn check(&self, depth: Depth) -> Result<Vec<Defect>> {
        self.pass(Call::Check, self.inner.check(depth)).await
    }

    async fn backup(&self, target: &Path) -> Result<()> {
        self.pass(Call::Backup, self.inner.backup(target)).await
    }

    async fn close(&self) -> Result<()> {
        self.pass(Call::Close, self.inner.close()).await
    }
}

#[async_trait]
impl<S: MessageStore> SharedStore for FaultStore<S> {
    fn member(&self) -> MemberId {
        self.inner.shared().map_or(MemberId::new(0), SharedStore::member)
    }

    async fn claim(&self, peer: &PeerId) -> Result<Option<RememberedPeer>> {
        self.pass(Call::Claim, self.shared_inner()?.claim(peer)).await
    }

    async fn release(&self, peer: &PeerId) -> Result<()> {
        self.pass(Call::Release, self.shared_inner()?.release(peer)).await
    }

    async fn claimed_by_others(&self) -> Result<Vec<PeerId>> {
        self.pass(Call::ClaimedByOthers, self.shared_inner()?.claimed_by_others()).await
    }

    async fn take_duty(&self, duty: &str) -> Result<bool> {
        self.pass(Call::TakeDuty, self.shared_inner()?.take_duty(duty)).await
    }

    async fn leave_duty(&self, duty: &str) -> Result<()> {
        self.pass(Call::LeaveDuty, self.shared_inner()?.leave_duty(duty)).await
    }

    async fn news(&self, most: Duration) -> Result<News> {
        self.pass(Call::News, self.shared_inner()?.news(most)).await
    }

    fn interleaved(&self) -> Owed {
        self.inner.shared().map_or(Owed::NOBODY, SharedStore::interleaved)
    }

    async fn beat(&self) -> Result<Vec<Member>> {
        self.pass(Call::Beat, self.shared_inner()?.beat()).await
    }

    async fn retire(&self, member: Member) -> Result<bool> {
        self.pass(Call::Retire, self.shared_inner()?.retire(member)).await
    }
}
