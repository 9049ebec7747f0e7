//! The vocabulary of the cases, for tests of a store's own as well: short ways to make values, commit them and look at
//! what came of it. They panic if the store does not do what was asked.

use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use slipstream_store::{
    Came, ClusterGroup, DeadLetter, DeadLetterFilter, DeadLetterReason, DeliveryState, DuplicateBy, Exchanged,
    Fingerprint, Horizon, Identity, Key, MessageId, MessageStore, MessageType, Operation, Outcome, PageLimit, Peer,
    PeerId, PeerKind, Pending, Purged, Record, RememberedPeer, Route, Sent, Sequence, SharedStore, Show, Stamp, Tag,
    Timestamp, Trace, TracedDelivery,
};
use ulid::Ulid;

/// The outcome of recording an identity again.
pub const BY_IDENTITY: Outcome = Outcome::Duplicate { by: DuplicateBy::Identity };
/// The outcome of recording a stamp again.
pub const BY_STAMP: Outcome = Outcome::Duplicate { by: DuplicateBy::Stamp };

/// A point in time, in seconds.
pub fn t(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

/// An identity in the group of those without one.
pub fn id(text: &str) -> Identity {
    Identity { group: ClusterGroup::singleton(), id: MessageId::new(text).expect("a message id") }
}

/// A peer's id.
pub fn peer(text: &str) -> PeerId {
    PeerId::new(text).expect("a peer id")
}

/// A sequence that no store gives in a test.
pub fn never_given() -> Sequence {
    Sequence::new(1_000_000_000_000).expect("a sequence")
}

/// A durable application server without tags.
pub fn application(name: &str) -> Peer {
    Peer {
        id: peer(name),
        kind: PeerKind::Application,
        group: ClusterGroup::singleton(),
        tags: Arc::from([]),
        durable: true,
        last_seen: t(1),
        alias: None,
        paused: false,
    }
}

/// Tags of these names.
pub fn tags(names: &[&str]) -> Arc<[Tag]> {
    names.iter().map(|name| Tag::new(name).expect("a tag")).collect()
}

/// Remembers a durable application server without tags.
pub fn remember(name: &str) -> Operation {
    Operation::RememberPeer(Box::new(application(name)))
}

/// Forgets a peer.
pub fn forget(name: &str, at: Timestamp) -> Operation {
    Operation::ForgetPeer { peer: peer(name), at }
}

/// A message to these recipients. Cases change the fields that they are about.
pub fn message(name: &str, recipients: &[&str]) -> Record {
    Record {
        identity: id(name),
        fingerprint: Fingerprint::from_u64(7),
        message_type: MessageType::new("SK").expect("a type"),
        key: Some(Key::new(format!("key of {name}")).expect("a key")),
        expires_at: None,
        received_at: t(10),
        stamp: None,
        epoch: None,
        route: Arc::new(Route {
            received_from: peer("sender"),
            path: Box::new([peer("far"), peer("here")]),
            recipients: recipients.iter().map(|name| peer(name)).collect(),
        }),
        text: Bytes::from(format!("the text of {name}")),
    }
}

/// A message of 256 bytes, about no key.
pub fn plain(name: &str, recipients: &[&str]) -> Record {
    Record { text: Bytes::from(vec![b'x'; 256]), key: None, ..message(name, recipients) }
}

/// A stamp of an epoch and a number.
pub fn stamp(epoch: u64, number: u64) -> Stamp {
    Stamp { epoch: Ulid::from_parts(epoch, 1), number }
}

/// Records a message.
pub fn put(record: Record) -> Operation {
    Operation::Record(Box::new(record))
}

/// Asks for a message that is not to be recorded.
pub fn recognise(record: Record) -> Operation {
    Operation::Recognise(Box::new(record))
}

/// Acknowledges a delivery, at second 20.
pub fn acknowledge(name: &str, sequence: Sequence) -> Operation {
    Operation::Acknowledge { peer: peer(name), sequence, at: t(20) }
}

/// Supersedes a delivery, at second 21.
pub fn supersede(name: &str, sequence: Sequence) -> Operation {
    Operation::Supersede { peer: peer(name), sequence, at: t(21) }
}

/// Expires a delivery, at second 22.
pub fn expire(name: &str, sequence: Sequence) -> Operation {
    Operation::Expire { peer: peer(name), sequence, at: t(22) }
}

/// Makes a dead letter of a delivery that was not acknowledged, at second 23.
pub fn give_up(name: &str, sequence: Sequence) -> Operation {
    give_up_for(name, sequence, DeadLetterReason::Unacknowledged)
}

/// Makes a dead letter of a delivery for this reason, after four attempts, at second 23.
pub fn give_up_for(name: &str, sequence: Sequence, reason: impl Into<DeadLetterReason>) -> Operation {
    Operation::DeadLetter { peer: peer(name), sequence, reason: reason.into(), attempts: 4, at: t(23) }
}

/// Notes an attempt of a delivery, at second 100 and its number.
pub fn attempt(name: &str, sequence: Sequence, number: u32) -> Operation {
    Operation::Attempt { peer: peer(name), sequence, number, at: t(100 + u64::from(number)) }
}

/// Redrives a dead letter.
pub fn redrive(name: &str, sequence: Sequence) -> Operation {
    Operation::Redrive { peer: peer(name), sequence }
}

/// Imports a dead letter that was not acknowledged, after four attempts, at second 5.
pub fn import(name: &str, record: Record) -> Operation {
    let (peer, message, reason) = (peer(name), Box::new(record), DeadLetterReason::Unacknowledged);
    Operation::ImportDeadLetter { peer, message, reason, attempts: 4, dead_at: t(5) }
}

/// Discards a dead letter.
pub fn discard(name: &str, sequence: Sequence) -> Operation {
    Operation::Discard { peer: peer(name), sequence }
}

/// A store as one that several processes share.
pub fn shared<S: MessageStore + ?Sized>(store: &S) -> &dyn SharedStore {
    store.shared().expect("the store is shared")
}

/// Commits the operations as one batch.
pub async fn commit<S: MessageStore + ?Sized>(store: &S, operations: Vec<Operation>) -> Vec<Outcome> {
    let expected = operations.len();
    let outcomes = store.commit(Arc::new(operations.into())).await.expect("the batch commits");
    assert_eq!(outcomes.len(), expected, "one outcome for each operation");
    outcomes
}

/// Commits one operation.
pub async fn commit_one<S: MessageStore + ?Sized>(store: &S, operation: Operation) -> Outcome {
    commit(store, vec![operation]).await[0]
}

/// Commits the operations as one batch, and returns the sequences of what was recorded, redriven or imported.
pub async fn sequences<S: MessageStore + ?Sized>(store: &S, operations: Vec<Operation>) -> Vec<Sequence> {
    let sequence = |outcome| match outcome {
        Outcome::Recorded { sequence } | Outcome::Redriven { sequence } | Outcome::Imported { sequence } => {
            Some(sequence)
        }
        _ => None,
    };
    commit(store, operations).await.into_iter().filter_map(sequence).collect()
}

/// Remembers application servers.
pub async fn remember_all<S: MessageStore + ?Sized>(store: &S, names: &[&str]) {
    commit(store, names.iter().map(|name| remember(name)).collect()).await;
}

/// Commits a message that is new.
pub async fn recorded<S: MessageStore>(store: &S, record: Record) -> Sequence {
    sequence_of(commit_one(store, put(record)).await)
}

/// Gives a delivery up, redrives it, and returns its new sequence.
pub async fn redriven<S: MessageStore>(store: &S, name: &str, sequence: Sequence) -> Sequence {
    commit(store, vec![give_up(name, sequence)]).await;
    sequence_of(commit_one(store, redrive(name, sequence)).await)
}

/// The sequence of something that was recorded, redriven or imported.
#[track_caller]
pub fn sequence_of(outcome: Outcome) -> Sequence {
    match outcome {
        Outcome::Recorded { sequence } | Outcome::Redriven { sequence } | Outcome::Imported { sequence } => sequence,
        other => panic!("expected a sequence, got {other:?}"),
    }
}

/// A page of so many items and the default bytes.
pub fn items(most: u32) -> PageLimit {
    limit(most, PageLimit::DEFAULT_BYTES.get())
}

/// A page of so many items and bytes.
pub fn limit(items: u32, bytes: usize) -> PageLimit {
    PageLimit { items: NonZeroU32::new(items).expect("not zero"), bytes: NonZeroUsize::new(bytes).expect("not zero") }
}

/// Everything that a peer is owed, read in pages.
pub async fn backlog<S: MessageStore>(store: &S, name: &str) -> Vec<Pending> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = store.pending(&peer(name), after, items(500)).await.expect("the page is read");
        all.extend(page.items);
        let last = all.last().map(|item: &Pending| item.sequence);
        assert!(!page.more || last > after, "a page that has more moves the cursor on");
        if !page.more {
            return all;
        }
        after = last;
    }
}

/// The sequences of everything that a peer is owed.
pub async fn owed<S: MessageStore>(store: &S, name: &str) -> Vec<Sequence> {
    backlog(store, name).await.iter().map(|item| item.sequence).collect()
}

/// The dead letters that the filter means; there must be few.
pub async fn dead<S: MessageStore>(store: &S, filter: &DeadLetterFilter) -> Vec<DeadLetter> {
    let page = store.dead_letters(filter, None, items(500)).await.expect("the page is read");
    assert!(!page.more, "few dead letters fit on one page");
    page.items
}

/// All dead letters; there must be few.
pub async fn all_dead<S: MessageStore>(store: &S) -> Vec<DeadLetter> {
    dead(store, &DeadLetterFilter::default()).await
}

/// How many dead letters there are by peer and class, as the store counts them.
pub async fn counted<S: MessageStore>(store: &S) -> Vec<(String, &'static str, u64)> {
    let counts = store.dead_letter_counts().await.expect("the counts are read").into_iter();
    counts.map(|entry| (entry.peer.to_string(), entry.reason, entry.count)).collect()
}

/// The trace of a message.
pub async fn trace<S: MessageStore>(store: &S, name: &str) -> Option<Trace> {
    store.deliveries(&id(name)).await.expect("the trace is read")
}

/// The trace of a message's only delivery.
pub async fn traced<S: MessageStore>(store: &S, name: &str) -> TracedDelivery {
    let trace = trace(store, name).await.expect("the message has a trace");
    assert_eq!(trace.deliveries.len(), 1, "{trace:?}");
    trace.deliveries.into_iter().next().expect("there is one")
}

/// A delivery in the trace as it is right after it was recorded.
pub fn untouched(name: &str, sequence: Sequence) -> TracedDelivery {
    TracedDelivery {
        peer: peer(name),
        sequence,
        state: DeliveryState::Pending,
        attempts: 0,
        last_attempt_at: None,
        settled_at: None,
        reason: None,
    }
}

/// A message that was shown as exchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `Exchanged`")]
pub struct ToldExchange {
    pub sequence: Sequence,
    pub identity: Identity,
    pub fingerprint: Fingerprint,
    pub epoch: Ulid,
    pub sent: Sent,
    pub came: Came,
}

impl From<&Exchanged<'_>> for ToldExchange {
    fn from(told: &Exchanged<'_>) -> Self {
        let group = ClusterGroup::new(told.group).expect("a cluster group");
        let id = MessageId::new(told.id).expect("a message id");
        let Exchanged { sequence, fingerprint, epoch, sent, came, .. } = *told;
        Self { sequence, identity: Identity { group, id }, fingerprint, epoch, sent, came }
    }
}

/// What was exchanged with a peer, by sequence.
pub async fn exchanged<S: MessageStore>(store: &S, name: &str) -> Vec<ToldExchange> {
    exchange_of(store, name).await.0
}

/// What was exchanged with a peer, by sequence, and from when on none of it is missing for its size.
pub async fn exchange_of<S: MessageStore>(store: &S, name: &str) -> (Vec<ToldExchange>, Timestamp) {
    exchanged_up_to(store, name, usize::MAX).await
}

/// As [`exchange_of`], of which the caller has enough after so many.
pub async fn exchanged_up_to<S: MessageStore>(store: &S, name: &str, most: usize) -> (Vec<ToldExchange>, Timestamp) {
    let all = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&all);
    let show = Show::each(move |told| {
        let mut taken = taken.lock();
        taken.push(ToldExchange::from(told));
        if taken.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    let whole_since = store.exchanged(&peer(name), show).await.expect("the exchange is read");
    let mut all = std::mem::take(&mut *all.lock());
    all.sort_by_key(|told: &ToldExchange| told.sequence);
    (all, whole_since)
}

/// A peer in the roster.
pub async fn remembered<S: MessageStore>(store: &S, name: &str) -> Option<RememberedPeer> {
    let roster = store.roster().await.expect("the roster is read");
    roster.peers.into_iter().find(|remembered| remembered.peer.id.as_str() == name)
}

/// Purges with this horizon until there is no more, `budget` at a time; returns what it came to.
pub async fn purge_all<S: MessageStore + ?Sized>(store: &S, horizon: Horizon, budget: u32) -> Purged {
    let mut total = Purged::default();
    loop {
        let purged = store.purge(horizon, NonZeroU32::new(budget).expect("not zero")).await.expect("the purge runs");
        assert!(purged.removed <= u64::from(budget), "removed {} of at most {budget}", purged.removed);
        assert!(purged.expired.len() as u64 <= purged.removed, "what expired counts as removed: {purged:?}");
        assert!(!purged.more || purged.removed > 0, "a purge that has more to do does something");
        total.expired.extend(purged.expired);
        total.removed += purged.removed;
        if !purged.more {
            return total;
        }
    }
}

/// A horizon behind which everything lies that may go at all.
pub fn everything() -> Horizon {
    Horizon {
        now: Timestamp::MAX,
        expiries: Timestamp::MAX,
        identities: Timestamp::MAX,
        max_identities: 0,
        stamps: Timestamp::MAX,
        traces: Timestamp::MAX,
        max_trace_bytes: u64::MAX,
    }
}
