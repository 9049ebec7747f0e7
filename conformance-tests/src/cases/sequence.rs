//! Sequences ascend, become visible in order, and are given once.

use std::sync::atomic::{AtomicBool, Ordering};

use slipstream_store::{MessageStore, Sequence};

use crate::fixture::*;
use crate::harness::{Harness, Sandbox};

/// C5: sequences begin with the first and ascend in the order of the operations, within a batch and over batches.
pub async fn sequences_ascend_with_the_operations<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a", "b"]).await;
    let mut given = Vec::new();
    for batch in 0..3 {
        let records = (0..4).map(|n| put(message(&format!("m{batch}-{n}"), &["a", "b"])));
        given.extend(commit(&store, records.collect()).await.into_iter().map(sequence_of));
    }
    assert_eq!(given[0], Sequence::FIRST);
    assert!(given.is_sorted_by(|left, right| left < right), "{given:?}");
    assert_eq!(owed(&store, "a").await, given);
    assert_eq!(owed(&store, "b").await, given, "all deliveries of a message share its sequence");
}

/// C5, C7: a redrive takes its sequence from the same order.
pub async fn redrives_and_records_share_one_order<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let first = recorded(&store, message("m1", &["a"])).await;
    let outcomes = commit(
        &store,
        vec![give_up("a", first), put(message("m2", &["a"])), redrive("a", first), put(message("m3", &["a"]))],
    )
    .await;
    let given: Vec<_> = outcomes[1..].iter().map(|outcome| sequence_of(*outcome)).collect();
    assert!(given.is_sorted_by(|left, right| left < right) && given[0] > first, "{given:?}");
    assert_eq!(owed(&store, "a").await, given);
}

/// C5: no sequence is given twice across reopening.
pub async fn reopening_gives_no_sequence_twice<H: Harness>(sandbox: Sandbox<H>) {
    let mut store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let mut last = None;
    for round in 0..4 {
        let sequence = Some(recorded(&store, message(&format!("m{round}"), &["a"])).await);
        assert!(sequence > last, "{sequence:?} after {last:?}");
        last = sequence;
        store = sandbox.reopen(store).await;
    }
}

/// C5: no sequence is given twice if everything was settled, purged and forgotten, also across reopening.
pub async fn purging_gives_no_sequence_twice<H: Harness>(sandbox: Sandbox<H>) {
    let mut store = sandbox.open().await;
    let mut last = None;
    for round in 0..3 {
        remember_all(&store, &["a"]).await;
        for n in 0..3 {
            let sequence = Some(recorded(&store, message(&format!("m{round}-{n}"), &["a"])).await);
            assert!(sequence > last, "{sequence:?} after {last:?}");
            last = sequence;
        }
        let acknowledged = owed(&store, "a").await.into_iter().map(|sequence| acknowledge("a", sequence));
        commit(&store, acknowledged.collect()).await;
        purge_all(&store, everything(), 2).await;
        store = sandbox.reopen(store).await;
        purge_all(&store, everything(), 2).await;
        store = sandbox.reopen(store).await;
    }
}

/// C5: the sequence of a redriven and discarded dead letter is not given again, also across reopening.
pub async fn discarding_gives_no_sequence_twice<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let first = recorded(&store, message("m1", &["a"])).await;
    let second = redriven(&store, "a", first).await;
    commit(&store, vec![give_up("a", second), discard("a", second)]).await;
    purge_all(&store, everything(), 10).await;
    let store = sandbox.reopen(store).await;
    assert!(recorded(&store, message("m2", &["a"])).await > second);
}

/// C5, C8: a reader that follows with a cursor while messages commit misses none.
pub async fn a_live_cursor_misses_nothing<H: Harness>(sandbox: Sandbox<H>) {
    const MESSAGES: usize = 300;
    let store = sandbox.open().await;
    remember_all(&store, &["a", "b"]).await;
    let written = AtomicBool::new(false);
    let writer = async {
        let mut given = Vec::new();
        for n in 0..MESSAGES / 3 {
            let records = (0..3).map(|k| put(message(&format!("m{n}-{k}"), if k == 1 { &["b"] } else { &["a"] })));
            let outcomes = commit(&store, records.collect()).await;
            given.extend([sequence_of(outcomes[0]), sequence_of(outcomes[2])]);
            tokio::task::yield_now().await;
        }
        written.store(true, Ordering::Release);
        given
    };
    let reader = async {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let last_round = written.load(Ordering::Acquire);
            let page = store.pending(&peer("a"), after, items(7)).await.expect("the page is read");
            let first = page.items.first().map(|item| item.sequence);
            assert!(first.is_none_or(|first| Some(first) > after), "after {after:?} came {first:?}");
            seen.extend(page.items.iter().map(|item| item.sequence));
            after = seen.last().copied();
            if last_round && page.items.is_empty() {
                break;
            }
            tokio::task::yield_now().await;
        }
        seen
    };
    let (given, seen) = tokio::join!(writer, reader);
    assert_eq!(seen, given, "what a cursor saw of what was recorded meanwhile");
}
