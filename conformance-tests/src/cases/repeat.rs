//! A batch that is committed again changes nothing.

use slipstream_store::{
    DeadLetter, Fingerprint, MessageStore, Operation, Outcome, Pending, Record, Roster, Stats, Trace,
};

use crate::fixture::*;
use crate::harness::{Harness, Sandbox};

/// Everything that can be read of a store, except how many bytes it takes.
#[derive(Debug, PartialEq)]
struct Contents {
    roster: Roster,
    backlogs: Vec<Vec<Pending>>,
    dead: Vec<DeadLetter>,
    traces: Vec<Option<Trace>>,
    stats: Stats,
}

async fn contents<S: MessageStore>(store: &S) -> Contents {
    let (mut backlogs, mut traces) = (Vec::new(), Vec::new());
    for name in ["a", "b", "c", "new"] {
        backlogs.push(backlog(store, name).await);
    }
    for n in 0..10 {
        traces.push(trace(store, &format!("m{n}")).await);
    }
    Contents {
        roster: store.roster().await.expect("the roster is read"),
        backlogs,
        dead: all_dead(store).await,
        traces,
        stats: Stats { bytes: 0, ..store.stats().await.expect("stats") },
    }
}

/// A batch with every operation, on a store that has something for each of them to do.
async fn one_of_each<S: MessageStore>(store: &S) -> Vec<Operation> {
    remember_all(store, &["a", "b", "c"]).await;
    let mut given = Vec::new();
    for n in 0..8 {
        given.push(recorded(store, message(&format!("m{n}"), &["a", "b", "c"])).await);
    }
    commit(store, vec![give_up("a", given[5]), give_up("a", given[6])]).await;
    let conflicting = Record { fingerprint: Fingerprint::from_u64(8), ..message("m0", &["a"]) };
    vec![
        remember("new"),
        put(Record { stamp: Some(stamp(1, 1)), ..message("m8", &["a", "new"]) }),
        put(Record { stamp: Some(stamp(1, 1)), ..message("m9", &["a"]) }),
        put(conflicting),
        acknowledge("a", given[0]),
        attempt("a", given[1], 1),
        attempt("a", given[1], 2),
        give_up("a", given[2]),
        supersede("a", given[3]),
        expire("a", given[4]),
        redrive("a", given[5]),
        discard("a", given[6]),
        give_up("a", given[7]),
        redrive("a", given[7]),
        forget("b", t(70)),
        Operation::NameRelay { id: peer("relay-1") },
        recognise(message("m0", &[])),
    ]
}

fn changes_nothing(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Duplicate { .. } | Outcome::Unchanged | Outcome::Conflict)
}

/// C3: the batch that was committed last answers duplicates and nothing else when it is committed again.
pub async fn a_batch_is_repeatable<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    let batch = one_of_each(&store).await;
    let first = commit(&store, batch.clone()).await;
    assert_eq!(first.iter().filter(|outcome| changes_nothing(outcome)).count(), 3, "{first:?}");
    let before = contents(&store).await;
    for _ in 0..2 {
        let again = commit(&store, batch.clone()).await;
        assert!(again.iter().all(changes_nothing), "{again:?}");
        assert_eq!(again[1..4], [BY_IDENTITY, BY_STAMP, Outcome::Conflict]);
        assert_eq!(contents(&store).await, before);
    }
}

/// C3, C2: so it is if the store was opened anew in between, as after an `Indeterminate`.
pub async fn a_batch_is_repeatable_across_reopening<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    let batch = one_of_each(&store).await;
    commit(&store, batch.clone()).await;
    let before = contents(&store).await;
    let store = sandbox.reopen(store).await;
    assert_eq!(contents(&store).await, before);
    let again = commit(&store, batch.clone()).await;
    assert!(again.iter().all(changes_nothing), "{again:?}");
    assert_eq!(contents(&store).await, before);
    let store = sandbox.reopen(store).await;
    assert_eq!(contents(&store).await, before);
}

/// C10: equal calls in equal order give equal results, sequences and all.
pub async fn equal_calls_give_equal_results<H: Harness>(sandbox: Sandbox<H>) {
    let mut seen = Vec::new();
    for path in [sandbox.beside("left"), sandbox.beside("right")] {
        let store = sandbox.open_at(&path).await.expect("the store opens");
        let batch = one_of_each(&store).await;
        let outcomes = [commit(&store, batch.clone()).await, commit(&store, batch).await];
        store.close().await.expect("the store closes");
        drop(store);
        let store = sandbox.open_at(&path).await.expect("the store opens");
        let mut expired = purge_all(&store, everything(), 5).await.expired;
        expired.sort();
        let last = recorded(&store, message("last", &["a"])).await;
        seen.push((outcomes, expired, last, contents(&store).await));
    }
    assert_eq!(seen[0], seen[1]);
}
