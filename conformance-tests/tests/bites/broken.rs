//! The model with one flaw.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use slipstream_conformance::ModelStore;
use slipstream_store::{
    Batch, DeadLetter, DeadLetterCount, DeadLetterCursor, DeadLetterFilter, Defect, Depth, Exchanged, Guarantee,
    Horizon, Identity, MessageStore, Operation, Outcome, Page, PageLimit, PeerId, Pending, Purged, Result, Roster,
    Sent, Sequence, Show, Stats, StoreError, Timestamp, Trace,
};

use crate::flaw::Flaw;

pub(crate) type Instead = Arc<Mutex<BTreeMap<PathBuf, PathBuf>>>;

#[derive(Debug)]
pub(crate) struct Broken {
    inner: Arc<ModelStore>,
    flaw: Flaw,
    opening: u32,
    place: PathBuf,
    instead: Instead,
    memory: Mutex<Memory>,
}

/// What a flaw needs to remember.
#[derive(Debug, Default)]
struct Memory {
    counter: u32,
    busy: bool,
    hidden: BTreeSet<Sequence>,
    /// New sequences of redriven deliveries, and the old ones that are shown.
    in_place: BTreeMap<Sequence, Sequence>,
    farthest: (Timestamp, Timestamp),
    bytes: u64,
}

impl Broken {
    pub(crate) fn new(inner: Arc<ModelStore>, flaw: Flaw, opening: u32, place: PathBuf, instead: Instead) -> Self {
        Self { inner, flaw, opening, place, instead, memory: Mutex::default() }
    }

    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn count(&self) -> u32 {
        let mut memory = self.memory.lock();
        memory.counter += 1;
        memory.counter
    }

    async fn one(&self, operation: Operation) -> Result<Outcome> {
        Ok(self.inner.commit(Arc::new(vec![operation].into())).await?[0])
    }

    async fn peers(&self) -> Result<Vec<slipstream_store::Peer>> {
        Ok(self.inner.roster().await?.peers.into_iter().map(|known| known.peer).collect())
    }

    async fn discard_all(&self, filter: DeadLetterFilter) -> Result<()> {
        for dead in self.inner.dead_letters(&filter, None, PageLimit::items(NonZeroU32::MAX)).await?.items {
            self.one(Operation::Discard { peer: dead.peer, sequence: dead.sequence }).await?;
        }
        Ok(())
    }

    async fn prepare(&self, batch: &Batch) -> Result<()> {
        static CHANCE: AtomicU32 = AtomicU32::new(0);
        if self.is(Flaw::LeavesGapsByChance) && CHANCE.fetch_add(1, Ordering::Relaxed).is_multiple_of(3) {
            for operation in &batch.operations {
                if let Operation::Record(record) = operation {
                    self.one(copy_of(record, "gap", self.count())).await?;
                }
            }
        }
        if self.is(Flaw::LosesTheLastCommit) || self.is(Flaw::LosesDroppedCommits) {
            let before = self.place.join(format!("before-{}-{}", self.opening, self.count()));
            self.inner.backup(&before).await?;
            self.instead.lock().insert(self.place.clone(), before);
        }
        Ok(())
    }

    async fn apply(&self, mut operation: Operation) -> Result<Outcome> {
        match &mut operation {
            Operation::Record(record) => self.bend(record).await?,
            Operation::Recognise(record) if self.is(Flaw::RecordsWhatItIsAskedFor) => {
                let outcome = self.one(Operation::Record(record.clone())).await?;
                return Ok(if matches!(outcome, Outcome::Recorded { .. }) { Outcome::Unchanged } else { outcome });
            }
            Operation::Recognise(record) => self.bend(record).await?,
            Operation::Acknowledge { sequence, at, .. } if self.is(Flaw::SettlesForEveryone) => {
                let others = self.peers().await?.into_iter();
                let all = others.map(|peer| Operation::Acknowledge { peer: peer.id, sequence: *sequence, at: *at });
                self.inner.commit(Arc::new(all.collect::<Vec<_>>().into())).await?;
                return Ok(Outcome::Applied);
            }
            Operation::Attempt { number, .. } if self.is(Flaw::CountsEveryAttempt) => *number = self.count(),
            Operation::RememberPeer(peer) => {
                let known = self.peers().await?.into_iter().find(|known| known.id == peer.id);
                match (self.flaw, known) {
                    (Flaw::ForgetsTags, _) => peer.tags = Arc::from([]),
                    (Flaw::ForgetsAliases, _) => peer.alias = None,
                    (Flaw::KeepsFirstLastSeen, Some(known)) => peer.last_seen = known.last_seen,
                    (Flaw::ReplacesPeers, Some(_)) => {
                        let forget = Operation::ForgetPeer { peer: peer.id.clone(), at: peer.last_seen };
                        self.one(forget).await?;
                    }
                    (Flaw::AppliesKnownPeers, Some(_)) => return Ok(Outcome::Applied),
                    _ => {}
                }
            }
            Operation::AdoptPeer { alias, peer } => match self.flaw {
                Flaw::ForgetsAliases => peer.alias = None,
                Flaw::OnlyRemembersWhoAdopts => operation = Operation::RememberPeer(peer.clone()),
                Flaw::DropsWhatAnAliasIsOwed => {
                    let forget = Operation::ForgetPeer { peer: alias.clone(), at: peer.last_seen };
                    self.one(forget).await?;
                }
                Flaw::LosesDeadLettersOfAnAlias => {
                    self.discard_all(DeadLetterFilter { peer: Some(alias.clone()), ..DeadLetterFilter::default() })
                        .await?
                }
                _ => {}
            },
            Operation::ImportDeadLetter { message, .. } if self.is(Flaw::RecordsImports) => {
                self.one(Operation::Record(message.clone())).await?;
            }
            Operation::ImportDeadLetter { message, dead_at, .. } if self.is(Flaw::DatesImports) => {
                *dead_at = message.received_at;
            }
            Operation::ForgetPeer { .. } if self.is(Flaw::NeverForgetsPeers) => return Ok(Outcome::Applied),
            Operation::NameRelay { .. } if self.is(Flaw::ForgetsTheRelay) => return Ok(Outcome::Applied),
            _ => {}
        }
        let outcome = self.one(operation.clone()).await?;
        self.follow_up(&operation, outcome).await
    }

    /// What a flaw makes of a message before it is recorded.
    async fn bend(&self, record: &mut slipstream_store::Record) -> Result<()> {
        match self.flaw {
            Flaw::IgnoresFingerprints => record.fingerprint = slipstream_store::Fingerprint::from_u64(0),
            Flaw::IgnoresStamps => record.stamp = None,
            Flaw::IgnoresEpochs => {
                record.stamp =
                    record.stamp.map(|stamp| slipstream_store::Stamp { epoch: ulid::Ulid::from_parts(0, 0), ..stamp })
            }
            Flaw::IgnoresGroups => record.identity.group = slipstream_store::ClusterGroup::singleton(),
            Flaw::MendsTexts => record.text = String::from_utf8_lossy(&record.text).into_owned().into(),
            Flaw::RemembersRecipients => {
                let known = self.peers().await?;
                for id in &record.route.recipients {
                    if known.iter().all(|peer| peer.id != *id) {
                        self.one(Operation::RememberPeer(Box::new(stranger(id)))).await?;
                    }
                }
            }
            _ => {}
        }
        self.memory.lock().bytes += record.text.len() as u64;
        Ok(())
    }

    /// What a flaw does after an operation, and what it says of it.
    async fn follow_up(&self, operation: &Operation, outcome: Outcome) -> Result<Outcome> {
        match (self.flaw, operation, outcome) {
            (Flaw::AlwaysSaysApplied, _, Outcome::Unchanged) => return Ok(Outcome::Applied),
            (Flaw::DeliversDuplicates, Operation::Record(record), Outcome::Duplicate { .. }) => {
                self.one(copy_of(record, "again", self.count())).await?;
            }
            (Flaw::ImportsTwice, Operation::ImportDeadLetter { .. }, Outcome::Unchanged) => {
                let mut again = operation.clone();
                if let Operation::ImportDeadLetter { message, .. } = &mut again {
                    message.text = format!("again {}", self.count()).into();
                }
                return self.one(again).await;
            }
            (Flaw::ForgetsSettledIdentities, Operation::Acknowledge { .. }, Outcome::Applied) => {
                let horizon = Horizon { identities: Timestamp::MAX, ..Horizon::NOTHING };
                self.inner.purge(horizon, NonZeroU32::MAX).await?;
            }
            (Flaw::RedrivesInPlace, Operation::Redrive { sequence: old, .. }, Outcome::Redriven { sequence }) => {
                self.memory.lock().in_place.insert(sequence, *old);
                return Ok(Outcome::Redriven { sequence: *old });
            }
            (Flaw::RedrivesWithAttempts, Operation::Redrive { peer, .. }, Outcome::Redriven { sequence }) => {
                let at = Timestamp::ZERO;
                self.one(Operation::Attempt { peer: peer.clone(), sequence, number: 3, at }).await?;
            }
            (Flaw::RedrivesTwice, Operation::Redrive { peer, .. }, Outcome::Redriven { sequence }) => {
                let (peer, at, reason) = (peer.clone(), Timestamp::ZERO, "left".into());
                self.one(Operation::DeadLetter { peer, sequence, reason, attempts: 0, at }).await?;
            }
            _ => {}
        }
        Ok(outcome)
    }

    fn show_late(&self, page: &mut Page<Pending>) {
        let mut memory = self.memory.lock();
        page.items.retain(|item| item.sequence.get() % 7 != 3 || !memory.hidden.insert(item.sequence));
    }

    async fn commit_all(&self, operations: &[Operation]) -> Result<Vec<Outcome>> {
        let mut outcomes = vec![Outcome::Unchanged; operations.len()];
        let mut order: Vec<usize> = (0..operations.len()).collect();
        if self.is(Flaw::RemembersPeersLast) {
            order.sort_by_key(|at| matches!(operations[*at], Operation::RememberPeer(_)));
        }
        let half = operations.len() / 2;
        for (done, at) in order.into_iter().enumerate() {
            outcomes[at] = self.apply(operations[at].clone()).await?;
            if self.is(Flaw::StopsAtAConflict) && outcomes[at] == Outcome::Conflict {
                break;
            }
            if self.is(Flaw::CommitsOneByOne) || self.is(Flaw::CommitsInHalves) && done == half {
                tokio::task::yield_now().await;
            }
        }
        Ok(outcomes)
    }
}

/// The same message under another identity.
fn copy_of(record: &slipstream_store::Record, what: &str, number: u32) -> Operation {
    let mut copy = record.clone();
    copy.identity.id = slipstream_store::MessageId::new(format!("{what}-{number}")).unwrap();
    copy.stamp = None;
    Operation::Record(Box::new(copy))
}

fn stranger(id: &PeerId) -> slipstream_store::Peer {
    slipstream_store::Peer {
        id: id.clone(),
        kind: slipstream_store::PeerKind::Application,
        group: slipstream_store::ClusterGroup::singleton(),
        tags: Arc::from([]),
        durable: true,
        last_seen: Timestamp::ZERO,
        alias: None,
        paused: false,
    }
}

#[async_trait]
impl MessageStore for Broken {
    fn guarantee(&self) -> Guarantee {
        self.inner.guarantee()
    }

    async fn commit(&self, batch: Arc<Batch>) -> Result<Vec<Outcome>> {
        // A closed model says so here, also to an empty batch.
        self.inner.commit(Arc::default()).await?;
        if self.is(Flaw::StaysBusyWhenDropped) {
            if std::mem::replace(&mut self.memory.lock().busy, true) {
                return Err(StoreError::Busy("a commit is under way".to_owned()));
            }
            tokio::task::yield_now().await;
        }
        self.prepare(&batch).await?;
        let outcomes = self.commit_all(&batch.operations).await;
        if self.is(Flaw::LosesDroppedCommits) {
            // Shown from here on, kept from there on.
            tokio::task::yield_now().await;
            self.instead.lock().remove(&self.place);
        }
        self.memory.lock().busy = false;
        outcomes
    }

    async fn pending(&self, peer: &PeerId, after: Option<Sequence>, asked: PageLimit) -> Result<Page<Pending>> {
        let mut limit = asked;
        let mut after = after;
        match self.flaw {
            Flaw::IncludesAfter => after = after.and_then(|after| Sequence::new(after.get() - 1)),
            Flaw::IgnoresItems => limit.items = NonZeroU32::MAX,
            Flaw::IgnoresBytes => limit.bytes = std::num::NonZeroUsize::MAX,
            _ => {}
        }
        let mut page = self.inner.pending(peer, after, limit).await?;
        match self.flaw {
            Flaw::ReversesPages => page.items.reverse(),
            Flaw::ShowsLate => self.show_late(&mut page),
            Flaw::NeverSaysMore => page.more = false,
            Flaw::SaysMoreWhenFull => page.more = page.items.len() as u64 == u64::from(asked.items.get()),
            Flaw::WithholdsOversized => page.items.retain(|item| item.text.len() <= asked.bytes.get()),
            _ => {}
        }
        let memory = self.memory.lock();
        for item in &mut page.items {
            item.sequence = memory.in_place.get(&item.sequence).copied().unwrap_or(item.sequence);
        }
        Ok(page)
    }

    async fn deliveries(&self, identity: &Identity) -> Result<Option<Trace>> {
        let mut identity = identity.clone();
        if self.is(Flaw::IgnoresGroups) {
            identity.group = slipstream_store::ClusterGroup::singleton();
        }
        self.inner.deliveries(&identity).await
    }

    async fn exchanged(&self, peer: &PeerId, show: Show) -> Result<Timestamp> {
        let flaw = self.flaw;
        let shown = move |told: &Exchanged<'_>| match flaw {
            Flaw::TellsNoExchange => ControlFlow::Continue(()),
            Flaw::TellsHalfOfAnExchange if told.sequence.get().is_multiple_of(2) => ControlFlow::Continue(()),
            Flaw::TellsExchangesTwice => {
                show.show(told)?;
                show.show(told)
            }
            Flaw::TellsAllAsAcknowledged => show.show(&Exchanged { sent: Sent::Acknowledged, ..*told }),
            Flaw::NeverHasEnoughShown => {
                let _ = show.show(told);
                ControlFlow::Continue(())
            }
            _ => show.show(told),
        };
        self.inner.exchanged(peer, Show::each(shown)).await
    }

    async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        after: Option<DeadLetterCursor>,
        limit: PageLimit,
    ) -> Result<Page<DeadLetter>> {
        let (mut filter, mut after) = (filter.clone(), after);
        let prefix = if self.is(Flaw::FiltersByPrefix) { filter.reason.take() } else { None };
        if let Some(cursor) = after.as_mut().filter(|_| self.is(Flaw::SkipsSharedSequences)) {
            cursor.peer = PeerId::new("z".repeat(128)).unwrap();
        }
        let mut page = self.inner.dead_letters(&filter, after, limit).await?;
        let prefix = prefix.map(|prefix| prefix.to_string());
        page.items.retain(|item| prefix.as_ref().is_none_or(|prefix| item.reason.to_string().starts_with(prefix)));
        Ok(page)
    }

    async fn dead_letter_counts(&self) -> Result<Vec<DeadLetterCount>> {
        let mut counts = self.inner.dead_letter_counts().await?;
        if self.is(Flaw::CountsDeadLettersOnce) {
            counts.iter_mut().for_each(|entry| entry.count = 1);
        }
        Ok(counts)
    }

    async fn roster(&self) -> Result<Roster> {
        self.inner.roster().await
    }

    async fn purge(&self, horizon: Horizon, budget: NonZeroU32) -> Result<Purged> {
        let (mut horizon, mut budget) = (horizon, budget);
        match self.flaw {
            Flaw::NeverPurges => return Ok(Purged::default()),
            Flaw::IgnoresBudget => budget = NonZeroU32::MAX,
            Flaw::PurgesPending => horizon.expiries = Timestamp::MAX,
            Flaw::NeverExpires => horizon.expiries = Timestamp::ZERO,
            Flaw::PurgesTraces => horizon.traces = Timestamp::MAX,
            Flaw::KeepsEveryIdentity => horizon.max_identities = u64::MAX,
            Flaw::KeepsTheFarthestHorizon => {
                let mut memory = self.memory.lock();
                memory.farthest = (memory.farthest.0.max(horizon.expiries), memory.farthest.1.max(horizon.identities));
                (horizon.expiries, horizon.identities) = memory.farthest;
            }
            Flaw::PurgesDeadLetters => {
                self.discard_all(DeadLetterFilter::default()).await?;
            }
            _ => {}
        }
        let mut purged = self.inner.purge(horizon, budget).await?;
        purged.more &= !self.is(Flaw::NeverSaysMoreToPurge);
        Ok(purged)
    }

    async fn stats(&self) -> Result<Stats> {
        let mut stats = self.inner.stats().await?;
        if self.is(Flaw::NeverReusesRoom) {
            stats.bytes = self.memory.lock().bytes;
        }
        if self.is(Flaw::CountsFromZero) && self.opening > 0 {
            stats.pending = 0;
        }
        Ok(stats)
    }

    async fn check(&self, depth: Depth) -> Result<Vec<Defect>> {
        self.inner.check(depth).await
    }

    async fn backup(&self, target: &Path) -> Result<()> {
        if self.is(Flaw::BacksUpNothing) {
            return self.inner.stats().await.map(drop);
        }
        self.inner.backup(target).await
    }

    async fn close(&self) -> Result<()> {
        if matches!(self.flaw, Flaw::AnswersWhenClosed | Flaw::NeverFreesItsPlace) {
            Ok(())
        } else {
            self.inner.close().await
        }
    }
}
