//! A store and the model, side by side.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use slipstream_store::{
    Batch, DeadLetterCursor, DeadLetterFilter, Depth, Fingerprint, Horizon, MessageStore, Operation, Outcome, Peer,
    PeerId, Purged, Record, RememberedPeer, RosterVersion, Route, Sequence, Stats, Timestamp,
};

use super::steps::{Back, Change, MESSAGES, PEERS, Step, TIMES, Way};
use crate::fixture::{application, exchange_of, id, limit, message, never_given, peer, put, recognise, stamp, t, tags};
use crate::harness::{Harness, Sandbox};
use crate::model::{ModelMedium, ModelStore};

pub(in crate::cases) type Checked<T = ()> = Result<T, TestCaseError>;

/// The same calls went to both. Gaps between sequences are a store's own, so each of its sequences is matched with
/// the model's.
pub(in crate::cases) struct Pair<'a, H: Harness> {
    sandbox: &'a Sandbox<H>,
    path: PathBuf,
    medium: ModelMedium,
    /// The handles on each. A shared store has several, of which the first only looks.
    handles: Vec<Handles<H>>,
    /// The handle that the calls go to.
    at: usize,
    /// Every sequence that was given: the model's, and the store's.
    given: Vec<[Sequence; 2]>,
    /// Every delivery that was given up, whatever became of it.
    given_up: Vec<(PeerId, [Sequence; 2])>,
    last_batch: [Arc<Batch>; 2],
    /// How often each message was recorded or imported.
    recorded: BTreeMap<u8, u32>,
}

/// A handle on the model and one on the store, which do the same.
struct Handles<H: Harness> {
    model: ModelStore,
    /// Not there only while it is opened anew.
    store: Option<H::Store>,
    /// The rosters that it routes by from now on, if the store is shared.
    rosters: Option<[RosterVersion; 2]>,
}

fn unexpected(error: impl Display) -> TestCaseError {
    TestCaseError::fail(format!("a call failed: {error}"))
}

impl<'a, H: Harness> Pair<'a, H> {
    pub(super) async fn open(sandbox: &'a Sandbox<H>, path: PathBuf) -> Checked<Self> {
        let mut pair = Self::new(sandbox, path);
        let store = Some(pair.opened().await?);
        pair.handles.push(Handles { model: ModelStore::in_memory(), store, rosters: None });
        Ok(pair)
    }

    /// A shared store with so many handles that do something, and one that only looks.
    pub(in crate::cases) async fn open_shared(sandbox: &'a Sandbox<H>, path: PathBuf, members: usize) -> Checked<Self> {
        let mut pair = Self::new(sandbox, path);
        for _ in 0..=members {
            let store = Some(pair.opened().await?);
            pair.handles.push(Handles { model: pair.opened_model(), store, rosters: Some(Default::default()) });
        }
        Ok(pair)
    }

    /// Has the handle route by the roster that is in force.
    pub(in crate::cases) async fn read_roster(&mut self) -> Checked {
        let expected = self.model().roster().await.map_err(unexpected)?.version;
        let version = self.store()?.roster().await.map_err(unexpected)?.version;
        self.handles[self.at].rosters = Some([expected, version]);
        Ok(())
    }

    fn new(sandbox: &'a Sandbox<H>, path: PathBuf) -> Self {
        Self {
            sandbox,
            path,
            medium: ModelMedium::default(),
            handles: Vec::new(),
            at: 0,
            given: Vec::new(),
            given_up: Vec::new(),
            last_batch: Default::default(),
            recorded: BTreeMap::new(),
        }
    }

    async fn opened(&self) -> Checked<H::Store> {
        self.sandbox.open_after_drop(&self.path).await.map_err(unexpected)
    }

    fn opened_model(&self) -> ModelStore {
        ModelStore::open_shared(&self.medium, &self.path)
    }

    /// From now on calls go to this handle.
    pub(in crate::cases) fn turn_to(&mut self, at: usize) {
        self.at = at;
    }

    pub(in crate::cases) fn model(&self) -> &ModelStore {
        &self.handles[self.at].model
    }

    pub(in crate::cases) fn store(&self) -> Checked<&H::Store> {
        self.handles[self.at].store.as_ref().ok_or_else(|| TestCaseError::fail("the store did not open again"))
    }

    /// Does the step on both and compares what they answer and what they count.
    pub(in crate::cases) async fn take(&mut self, step: &Step) -> Checked {
        match step {
            Step::Commit(changes) => {
                let batch = |side| changes.iter().map(|change| self.operation(change, side)).collect::<Vec<_>>();
                let routed = |side: usize| {
                    let routed_by = self.handles[self.at].rosters.map(|rosters| rosters[side]);
                    Arc::new(Batch { operations: batch(side), routed_by })
                };
                self.last_batch = [routed(0), routed(1)];
                self.commit().await?;
            }
            Step::Again => self.commit().await?,
            Step::Pending { peer, after, items, bytes } => self.pending(*peer, *after, *items, *bytes).await?,
            Step::Dead { .. } => self.dead(step).await?,
            Step::Trace(message) => self.trace(*message).await?,
            Step::Purge { .. } => self.purge(step).await?,
            Step::Reopen { close } => self.reopen(*close).await?,
        }
        self.counts(matches!(step, Step::Purge { .. })).await
    }

    /// Compares all that can be read, and closes the store.
    pub(in crate::cases) async fn end(mut self) -> Checked {
        self.at = 0;
        for reopened in [false, true] {
            if reopened {
                self.reopen(true).await?;
            }
            for peer in 0..PEERS.len() {
                self.pending(peer, None, 1000, usize::MAX).await?;
                self.exchanged(peer).await?;
            }
            self.dead(&Step::Dead { peer: None, reason: None, message: None, after: None, items: 1000 }).await?;
            for message in 0..MESSAGES {
                self.trace(message).await?;
            }
        }
        prop_assert_eq!(self.store()?.check(Depth::Full).await.map_err(unexpected)?, []);
        prop_assert_eq!(self.model().check(Depth::Full).await.map_err(unexpected)?, []);
        self.close().await
    }

    pub(super) async fn close(self) -> Checked {
        self.store()?.close().await.map_err(unexpected)
    }

    async fn commit(&mut self) -> Checked {
        let [model, store] = self.last_batch.clone();
        let (expected, outcomes) =
            match (self.model().commit(Arc::clone(&model)).await, self.store()?.commit(store).await) {
                (Ok(expected), Ok(outcomes)) => (expected, outcomes),
                // Only what a member of a shared store must not do is refused by the model.
                (expected, outcomes) => {
                    prop_assert_eq!(expected, outcomes, "{:?}", model);
                    return Ok(());
                }
            };
        prop_assert_eq!(expected.len(), outcomes.len());
        for (operation, (expected, outcome)) in model.operations.iter().zip(expected.into_iter().zip(outcomes)) {
            match (expected, outcome) {
                (Outcome::Recorded { sequence: left }, Outcome::Recorded { sequence: right })
                | (Outcome::Redriven { sequence: left }, Outcome::Redriven { sequence: right })
                | (Outcome::Imported { sequence: left }, Outcome::Imported { sequence: right }) => {
                    let last = self.given.last().map(|[_, last]| *last);
                    prop_assert!(last < Some(right), "{:?} was given after {:?}", right, last);
                    self.given.push([left, right]);
                }
                (expected, outcome) => prop_assert_eq!(expected, outcome, "{:?}", operation),
            }
            match (operation, expected) {
                (Operation::Record(record), Outcome::Recorded { .. }) => self.count(record)?,
                (Operation::ImportDeadLetter { peer, message, .. }, Outcome::Imported { sequence }) => {
                    self.count(message)?;
                    self.given_up.push((peer.clone(), [sequence, self.of_store(sequence)]));
                }
                (Operation::DeadLetter { peer, sequence, .. }, Outcome::Applied) => {
                    self.given_up.push((peer.clone(), [*sequence, self.of_store(*sequence)]));
                }
                (Operation::AdoptPeer { alias, peer }, Outcome::Applied) => {
                    let named = self.given_up.iter_mut().filter(|(of, _)| of == alias);
                    named.for_each(|(of, _)| *of = peer.id.clone());
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Counts a message that was recorded or imported.
    fn count(&mut self, record: &Record) -> Checked {
        let number = record.identity.id.as_str().parse().map_err(unexpected)?;
        *self.recorded.entry(number).or_default() += 1;
        Ok(())
    }

    async fn pending(&self, at: usize, after: Option<Back>, items: u32, bytes: usize) -> Checked {
        let (peer, limit) = (peer(PEERS[at]), limit(items, bytes));
        let [left, right] = [0, 1].map(|side| after.map(|back| self.sequence(back, side)));
        let mut expected = self.model().pending(&peer, left, limit).await.map_err(unexpected)?;
        for item in &mut expected.items {
            item.sequence = self.of_store(item.sequence);
        }
        let page = self.store()?.pending(&peer, right, limit).await.map_err(unexpected)?;
        prop_assert_eq!(expected, page, "what {} is owed after {:?}", peer, right);
        Ok(())
    }

    async fn dead(&self, step: &Step) -> Checked {
        let Step::Dead { peer: of, reason, message, after, items } = step else { return Ok(()) };
        let filter = DeadLetterFilter {
            peer: of.map(|at| peer(PEERS[at])),
            reason: reason.clone(),
            message_id: message.map(|number| id(&number.to_string()).id),
        };
        let [left, right] = [0, 1].map(|side| {
            after.map(|(back, at)| DeadLetterCursor { sequence: self.sequence(back, side), peer: peer(PEERS[at]) })
        });
        let limit = limit(*items, usize::MAX);
        let mut expected = self.model().dead_letters(&filter, left, limit).await.map_err(unexpected)?;
        for item in &mut expected.items {
            item.sequence = self.of_store(item.sequence);
        }
        let page = self.store()?.dead_letters(&filter, right, limit).await.map_err(unexpected)?;
        prop_assert_eq!(expected, page, "dead letters of {:?}", filter);
        Ok(())
    }

    async fn trace(&self, message: u8) -> Checked {
        let times = self.recorded.get(&message).copied().unwrap_or_default();
        if times > 1 {
            // If one of several lives on longer than the contract wants it to, it changes what is told of the others.
            return Ok(());
        }
        let identity = id(&message.to_string());
        let trace = self.store()?.deliveries(&identity).await.map_err(unexpected)?;
        let Some(mut expected) = self.model().deliveries(&identity).await.map_err(unexpected)? else {
            // What the model forgot, a store may still know.
            prop_assert!(times == 1 || trace.is_none(), "{} was never recorded: {:?}", identity, trace);
            return Ok(());
        };
        for delivery in &mut expected.deliveries {
            delivery.sequence = self.of_store(delivery.sequence);
        }
        prop_assert_eq!(Some(expected), trace);
        Ok(())
    }

    /// What the model tells of an exchange, the store tells. It may tell of more, since what the model forgot, a store may
    /// still know.
    async fn exchanged(&self, at: usize) -> Checked {
        let (expected, _) = exchange_of(self.model(), PEERS[at]).await;
        let (told, whole_since) = exchange_of(self.store()?, PEERS[at]).await;
        prop_assert_eq!(whole_since, Timestamp::ZERO);
        for mut expected in expected {
            expected.sequence = self.of_store(expected.sequence);
            let told = told.iter().find(|told| told.sequence == expected.sequence);
            prop_assert_eq!(Some(&expected), told, "what was exchanged with {}", PEERS[at]);
        }
        prop_assert!(told.is_sorted_by(|one, other| one.sequence < other.sequence), "each record once: {:?}", told);
        Ok(())
    }

    async fn purge(&self, step: &Step) -> Checked {
        let Step::Purge { now, identities, max_identities, traces, budget } = step else { return Ok(()) };
        let horizon = Horizon {
            now: t(*now),
            expiries: t(*now),
            identities: t(*identities),
            max_identities: *max_identities,
            traces: t(*traces),
            ..Horizon::NOTHING
        };
        let mut expected = purge_all(self.model(), horizon, *budget).await?;
        for (_, sequence) in &mut expected {
            *sequence = self.of_store(*sequence);
        }
        expected.sort();
        let mut expired = purge_all(self.store()?, horizon, *budget).await?;
        expired.sort();
        prop_assert_eq!(expected, expired, "what expired behind {:?}", horizon);
        Ok(())
    }

    pub(in crate::cases) async fn reopen(&mut self, close: bool) -> Checked {
        if let Some(store) = self.handles[self.at].store.take().filter(|_| close) {
            store.close().await.map_err(unexpected)?;
        }
        if self.model().shared().is_some() {
            self.handles[self.at].model = self.opened_model();
        }
        self.handles[self.at].store = Some(self.opened().await?);
        Ok(())
    }

    async fn counts(&self, purged: bool) -> Checked {
        let mut expected = self.model().roster().await.map_err(unexpected)?;
        for RememberedPeer { oldest, .. } in &mut expected.peers {
            *oldest = oldest.map(|sequence| self.of_store(sequence));
        }
        let mut roster = self.store()?.roster().await.map_err(unexpected)?;
        // A version may grow by more than one.
        roster.version = expected.version;
        prop_assert_eq!(expected, roster);
        self.dead_letter_counts().await?;
        let expected = self.model().stats().await.map_err(unexpected)?;
        let stats = self.store()?.stats().await.map_err(unexpected)?;
        prop_assert!(stats.messages >= expected.messages, "{:?}: {} are owed", stats, expected.messages);
        // Until a purge has ended, messages that nobody is owed any more may still count.
        let messages = if purged { stats.messages } else { expected.messages };
        prop_assert_eq!(expected, Stats { messages, bytes: expected.bytes, ..stats });
        Ok(())
    }

    /// The counts are the model's. Of the newest of each, a store may tell the time of one that is gone.
    async fn dead_letter_counts(&self) -> Checked {
        let mut expected = self.model().dead_letter_counts().await.map_err(unexpected)?;
        let counts = self.store()?.dead_letter_counts().await.map_err(unexpected)?;
        for (expected, count) in expected.iter_mut().zip(&counts) {
            prop_assert!(count.newest < t(TIMES), "{:?}", count);
            expected.newest = expected.newest.max(count.newest);
        }
        prop_assert_eq!(expected, counts);
        Ok(())
    }

    /// The sequence that was given so many before the last.
    fn sequence(&self, back: Back, side: usize) -> Sequence {
        let at = self.given.len().checked_sub(back + 1);
        at.and_then(|at| self.given.get(at)).map_or_else(never_given, |pair| pair[side])
    }

    /// The delivery that was given up so many before the last.
    fn given_up(&self, back: Back, side: usize) -> (PeerId, Sequence) {
        let at = self.given_up.len().checked_sub(back + 1);
        let named = at.and_then(|at| self.given_up.get(at));
        named.map_or_else(|| (peer(PEERS[0]), never_given()), |(peer, pair)| (peer.clone(), pair[side]))
    }

    fn of_store(&self, model: Sequence) -> Sequence {
        let at = self.given.binary_search_by_key(&model, |[left, _]| *left);
        at.map_or_else(|_| never_given(), |at| self.given[at][1])
    }

    fn operation(&self, change: &Change, side: usize) -> Operation {
        let named = |at: usize| -> PeerId { peer(PEERS[at]) };
        match change {
            Change::Record { .. } => put(record(change)),
            Change::Recognise(change) => recognise(record(change)),
            Change::Settle { way, peer, at, time } => {
                let (peer, sequence, at) = (named(*peer), self.sequence(*at, side), t(*time));
                match way {
                    Way::Acknowledge => Operation::Acknowledge { peer, sequence, at },
                    Way::Supersede => Operation::Supersede { peer, sequence, at },
                    Way::Expire => Operation::Expire { peer, sequence, at },
                    Way::GiveUp(reason) => {
                        Operation::DeadLetter { peer, sequence, reason: reason.clone(), attempts: 3, at }
                    }
                }
            }
            Change::Attempt { peer, at, number, time } => Operation::Attempt {
                peer: named(*peer),
                sequence: self.sequence(*at, side),
                number: *number,
                at: t(*time),
            },
            Change::Redrive(back) => {
                let (peer, sequence) = self.given_up(*back, side);
                Operation::Redrive { peer, sequence }
            }
            Change::Discard(back) => {
                let (peer, sequence) = self.given_up(*back, side);
                Operation::Discard { peer, sequence }
            }
            Change::Import { peer, message: number, reason, expires, received, dead, size } => {
                let message = Box::new(Record {
                    expires_at: expires.map(t),
                    received_at: t(*received),
                    text: Bytes::from(vec![*number; *size]),
                    ..message(&number.to_string(), &[])
                });
                let (peer, reason, dead_at) = (named(*peer), reason.clone(), t(*dead));
                Operation::ImportDeadLetter { peer, message, reason, attempts: 3, dead_at }
            }
            Change::Remember { peer, tags, seen } => Operation::RememberPeer(Box::new(known(*peer, *tags, *seen))),
            Change::Adopt { alias, peer, tags, seen } => {
                let (alias, peer) = (named(*alias), known(*peer, *tags, *seen));
                Operation::AdoptPeer { peer: Box::new(Peer { alias: Some(alias.clone()), ..peer }), alias }
            }
            Change::Forget { peer, time } => Operation::ForgetPeer { peer: named(*peer), at: t(*time) },
            Change::Name(which) => Operation::NameRelay { id: named(*which) },
        }
    }
}

fn known(at: usize, count: usize, seen: u64) -> Peer {
    Peer { tags: tags(&["x", "y"][..count]), last_seen: t(seen), ..application(PEERS[at]) }
}

fn record(change: &Change) -> Record {
    let Change::Record { message: number, fingerprint, recipients, stamp: numbered, expires, received, size } = change
    else {
        unreachable!("only records are made here");
    };
    let template = message(&number.to_string(), &[]);
    let recipients = recipients.iter().map(|at| peer(PEERS[*at])).collect();
    let received_from = if number.is_multiple_of(5) { peer(PEERS[0]) } else { template.route.received_from.clone() };
    Record {
        fingerprint: Fingerprint::from_u64(*fingerprint),
        route: Arc::new(Route { received_from, recipients, ..(*template.route).clone() }),
        stamp: numbered.map(|(epoch, number)| stamp(epoch, number)),
        epoch: (*number > 0).then(|| stamp(u64::from(*number % 3), 0).epoch),
        expires_at: expires.map(t),
        received_at: t(*received),
        text: Bytes::from(vec![*number; *size]),
        ..template
    }
}

async fn purge_all<S: MessageStore>(store: &S, horizon: Horizon, budget: u32) -> Checked<Vec<(PeerId, Sequence)>> {
    let budget = NonZeroU32::new(budget).unwrap_or(NonZeroU32::MIN);
    let mut expired = Vec::new();
    loop {
        let Purged { expired: some, removed, more } = store.purge(horizon, budget).await.map_err(unexpected)?;
        prop_assert!(removed <= u64::from(budget.get()), "removed {} of at most {}", removed, budget);
        prop_assert!(removed > 0 || !more, "a purge that has more to do does something");
        expired.extend(some);
        if !more {
            return Ok(expired);
        }
    }
}
