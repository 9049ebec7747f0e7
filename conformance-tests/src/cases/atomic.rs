//! Batches apply whole or not at all.

use std::sync::atomic::{AtomicBool, Ordering};

use slipstream_store::{MessageStore, Outcome};

use crate::fixture::*;
use crate::harness::{Harness, Sandbox};

/// C1: each operation sees those before it in the batch.
pub async fn each_operation_sees_those_before_it<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    let mut other = message("m1", &["a"]);
    other.fingerprint = slipstream_store::Fingerprint::from_u64(8);
    let outcomes = commit(
        &store,
        vec![
            put(message("early", &["a"])),
            remember("a"),
            put(message("m1", &["a"])),
            put(message("m1", &["a"])),
            put(other),
            forget("a", t(5)),
            put(message("late", &["a"])),
        ],
    )
    .await;
    assert_eq!(outcomes[1], Outcome::Applied);
    assert_eq!(outcomes[3..6], [BY_IDENTITY, Outcome::Conflict, Outcome::Applied]);
    let delivered = [("early", 0), ("m1", 1), ("late", 0)];
    for (name, deliveries) in delivered {
        let trace = trace(&store, name).await.expect("it was recorded");
        assert_eq!(trace.deliveries.len(), deliveries, "{name}");
    }

    let mut twice = vec![remember("b"), put(message("m2", &["b"]))];
    let sequence = sequence_of(commit(&store, std::mem::take(&mut twice)).await[1]);
    let outcomes = commit(
        &store,
        vec![
            attempt("b", sequence, 1),
            give_up("b", sequence),
            supersede("b", sequence),
            redrive("b", sequence),
            discard("b", sequence),
        ],
    )
    .await;
    assert_eq!(outcomes[..3], [Outcome::Applied, Outcome::Applied, Outcome::Unchanged]);
    assert_eq!(owed(&store, "b").await, [sequence_of(outcomes[3])]);
    assert_eq!(outcomes[4], Outcome::Unchanged, "the dead letter was redriven by the operation before");
}

/// C1: an operation that changes nothing does not keep the others from applying.
pub async fn what_changes_nothing_stops_nothing<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let first = recorded(&store, message("m1", &["a"])).await;
    let mut conflicting = message("m1", &["a"]);
    conflicting.fingerprint = slipstream_store::Fingerprint::from_u64(8);
    let outcomes = commit(
        &store,
        vec![
            put(conflicting),
            acknowledge("nobody", first),
            acknowledge("a", never_given()),
            put(message("m1", &["a"])),
            put(message("m2", &["a"])),
            redrive("a", first),
        ],
    )
    .await;
    assert_eq!(outcomes[..4], [Outcome::Conflict, Outcome::Unchanged, Outcome::Unchanged, BY_IDENTITY]);
    assert_eq!(outcomes[5], Outcome::Unchanged);
    assert_eq!(owed(&store, "a").await, [first, sequence_of(outcomes[4])]);
}

/// C1: an empty batch answers an empty list.
pub async fn an_empty_batch_answers_nothing<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    assert_eq!(commit(&store, Vec::new()).await, []);
    let stats = store.stats().await.expect("stats");
    assert_eq!((stats.peers, stats.pending, stats.identities), (0, 0, 0));
}

/// C1, C6: whoever reads while batches commit sees each batch whole or not at all.
pub async fn readers_see_whole_batches<H: Harness>(sandbox: Sandbox<H>) {
    const SIZE: usize = 16;
    const BATCHES: usize = 40;
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let written = AtomicBool::new(false);
    let writer = async {
        for batch in 0..BATCHES {
            let records = (0..SIZE).map(|n| put(message(&format!("m{batch}-{n}"), &["a"])));
            commit(&store, records.collect()).await;
            tokio::task::yield_now().await;
        }
        written.store(true, Ordering::Release);
    };
    let reader = async {
        loop {
            let last_round = written.load(Ordering::Acquire);
            let page = store.pending(&peer("a"), None, items(100_000)).await.expect("the page is read");
            assert_eq!(page.items.len() % SIZE, 0, "a reader saw a part of a batch");
            let backlog = remembered(&store, "a").await.expect("the peer is remembered").backlog;
            assert_eq!(backlog % SIZE as u64, 0, "the roster showed a part of a batch");
            if last_round {
                assert_eq!(page.items.len(), SIZE * BATCHES);
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(writer, reader);
}
