//! The fault store fails and waits as it is told, and otherwise is the store underneath.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use slipstream_conformance::{
    Call, FaultStore, Harness, ModelHarness, ModelMedium, ModelStore, SharedModelHarness, When,
};
use slipstream_store::{
    Batch, DeadLetterFilter, Depth, Horizon, Identity, Member, MessageStore, Operation, Outcome, PageLimit, PeerId,
    Result, SharedStore, Show, StoreError,
};

/// Without faults it passes the suite.
#[derive(Default)]
struct Faultless(ModelHarness);

#[async_trait]
impl Harness for Faultless {
    type Store = FaultStore<ModelStore>;

    async fn open(&self, place: &Path) -> Result<Self::Store> {
        Ok(FaultStore::new(self.0.open(place).await?).0)
    }
}

mod exclusive_store {
    use super::Faultless;
    use slipstream_conformance::conformance_tests;

    conformance_tests!(Faultless::default());
}

/// The same as a shared store.
#[derive(Default)]
struct SharedFaultless(SharedModelHarness);

#[async_trait]
impl Harness for SharedFaultless {
    type Store = FaultStore<ModelStore>;

    async fn open(&self, place: &Path) -> Result<Self::Store> {
        Ok(FaultStore::new(self.0.open(place).await?).0)
    }
}

mod shared_store {
    use super::SharedFaultless;
    use slipstream_conformance::shared_conformance_tests;

    shared_conformance_tests!(SharedFaultless::default());
}

fn name(text: &str) -> Arc<Batch> {
    Arc::new(vec![Operation::NameRelay { id: PeerId::new(text).unwrap() }].into())
}

async fn named<S: MessageStore>(store: &S) -> Option<String> {
    store.roster().await.unwrap().relay.map(|id| id.to_string())
}

fn errors() -> Vec<StoreError> {
    let why = || "the test says so".to_owned();
    vec![
        StoreError::Busy(why()),
        StoreError::Full(why()),
        StoreError::Indeterminate(why()),
        StoreError::Corrupted(why()),
        StoreError::InUse("store".into()),
        StoreError::Unsupported(why()),
        StoreError::Closed,
        StoreError::Poisoned(why()),
    ]
}

#[tokio::test]
async fn a_commit_fails_with_each_error_before_and_after() {
    for error in errors() {
        let (store, faults) = FaultStore::new(ModelStore::in_memory());
        faults.fail_next(Call::Commit, error.clone(), When::Before);
        assert_eq!(store.commit(name("one")).await, Err(error.clone()));
        if matches!(error, StoreError::Poisoned(_)) {
            continue;
        }
        assert_eq!(named(&store).await, None, "{error}: nothing was done");
        faults.fail_next(Call::Commit, error.clone(), When::After);
        assert_eq!(store.commit(name("one")).await, Err(error.clone()));
        assert_eq!(named(&store).await.as_deref(), Some("one"), "{error}: it was done, and the answer is lost");
        assert_eq!(store.commit(name("one")).await, Ok(vec![Outcome::Unchanged]), "a fault comes once");
    }
}

async fn call<S: MessageStore>(store: &S, call: Call) -> Result<()> {
    let peer = PeerId::new("a").unwrap();
    let limit = PageLimit::items(NonZeroU32::MIN);
    let identity = Identity { group: Default::default(), id: slipstream_store::MessageId::new("m").unwrap() };
    match call {
        Call::Commit => store.commit(Arc::default()).await.map(drop),
        Call::Pending => store.pending(&peer, None, limit).await.map(drop),
        Call::Deliveries => store.deliveries(&identity).await.map(drop),
        Call::Exchanged => store.exchanged(&peer, Show::each(|_| ControlFlow::Continue(()))).await.map(drop),
        Call::DeadLetters => store.dead_letters(&DeadLetterFilter::default(), None, limit).await.map(drop),
        Call::DeadLetterCounts => store.dead_letter_counts().await.map(drop),
        Call::Roster => store.roster().await.map(drop),
        Call::Purge => store.purge(Horizon::NOTHING, NonZeroU32::MIN).await.map(drop),
        Call::Stats => store.stats().await.map(drop),
        Call::Check => store.check(Depth::Quick).await.map(drop),
        Call::Backup => store.backup(Path::new("copy")).await,
        Call::Close => store.close().await,
        Call::Claim => shared(store).claim(&peer).await.map(drop),
        Call::Release => shared(store).release(&peer).await,
        Call::ClaimedByOthers => shared(store).claimed_by_others().await.map(drop),
        Call::TakeDuty => shared(store).take_duty("to dial").await.map(drop),
        Call::LeaveDuty => shared(store).leave_duty("to dial").await,
        Call::News => shared(store).news(Duration::ZERO).await.map(drop),
        Call::Beat => shared(store).beat().await.map(drop),
        Call::Retire => shared(store).retire(Member { id: shared(store).member(), beats: 0 }).await.map(drop),
    }
}

fn shared<S: MessageStore>(store: &S) -> &dyn SharedStore {
    store.shared().unwrap()
}

fn a_member() -> ModelStore {
    ModelStore::open_shared(&ModelMedium::default(), Path::new("store"))
}

const CALLS: [Call; 20] = [
    Call::Commit,
    Call::Pending,
    Call::Deliveries,
    Call::Exchanged,
    Call::DeadLetters,
    Call::DeadLetterCounts,
    Call::Roster,
    Call::Purge,
    Call::Stats,
    Call::Check,
    Call::Backup,
    Call::Claim,
    Call::Release,
    Call::ClaimedByOthers,
    Call::TakeDuty,
    Call::LeaveDuty,
    Call::News,
    Call::Beat,
    Call::Retire,
    Call::Close,
];

#[tokio::test]
async fn every_call_can_fail_and_only_the_one_that_is_meant() {
    for meant in CALLS {
        let (store, faults) = FaultStore::new(a_member());
        faults.fail_next(meant, StoreError::Busy("once".to_owned()), When::Before);
        for other in CALLS {
            let expected = if other == meant { Err(StoreError::Busy("once".to_owned())) } else { Ok(()) };
            assert_eq!(call(&store, other).await, expected, "{other:?} where {meant:?} is to fail");
        }
    }
}

#[tokio::test]
async fn the_call_that_is_counted_out_fails() {
    let (store, faults) = FaultStore::new(a_member());
    faults.fail_after(2, Call::Commit, StoreError::Busy("third".to_owned()), When::Before);
    faults.fail_next(Call::Stats, StoreError::Busy("stats".to_owned()), When::Before);
    assert!(store.commit(name("one")).await.is_ok());
    assert!(store.stats().await.is_err(), "other calls do not count");
    assert!(store.commit(name("two")).await.is_ok());
    assert_eq!(store.commit(name("three")).await, Err(StoreError::Busy("third".to_owned())));
    assert_eq!(named(&store).await.as_deref(), Some("two"));
    assert!(store.commit(name("three")).await.is_ok());
}

#[tokio::test]
async fn a_poisoned_store_answers_nothing_else() {
    let (store, faults) = FaultStore::new(a_member());
    let poisoned = StoreError::Poisoned("a sync failed".to_owned());
    faults.fail_next(Call::Commit, poisoned.clone(), When::After);
    assert_eq!(store.commit(name("one")).await, Err(poisoned.clone()));
    for other in CALLS {
        assert_eq!(call(&store, other).await, Err(poisoned.clone()), "{other:?}");
    }
}

#[tokio::test]
async fn a_held_call_waits_until_it_is_let_go() {
    let (store, faults) = FaultStore::new(a_member());
    let store = Arc::new(store);
    let mut held = faults.hold(Call::Commit);
    let committing = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.commit(name("one")).await }
    });
    held.arrived(1).await;
    assert_eq!(named(&*store).await, None, "reads go on, and nothing was done yet");
    assert!(!committing.is_finished());
    drop(held);
    assert_eq!(committing.await.unwrap(), Ok(vec![Outcome::Applied]));
    assert_eq!(named(&*store).await.as_deref(), Some("one"));
    assert!(store.commit(name("two")).await.is_ok(), "later calls are not held");
}
