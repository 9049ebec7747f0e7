//! Closing, dropped calls, guarantees and copies.

use std::future::Future;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};

use slipstream_store::{Batch, DeadLetterFilter, Depth, Horizon, MessageStore, Outcome, StoreError};

use crate::fixture::*;
use crate::harness::{Harness, Sandbox};

/// C2: what was committed is there after the store was closed and opened.
pub async fn commits_outlive_reopening<H: Harness>(sandbox: Sandbox<H>) {
    let mut store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let mut given = Vec::new();
    for n in 0..5 {
        given.push(recorded(&store, message(&format!("m{n}"), &["a"])).await);
        store = sandbox.reopen(store).await;
        assert_eq!(owed(&store, "a").await, given);
    }
}

/// C2: the guarantee names the engine and does not change while the store is open.
pub async fn the_guarantee_stands<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    let guarantee = store.guarantee();
    assert!(!guarantee.engine.is_empty());
    assert!(!guarantee.to_string().is_empty());
    remember_all(&store, &["a"]).await;
    assert_eq!(store.guarantee(), guarantee);
    let store = sandbox.reopen(store).await;
    assert_eq!(store.guarantee(), guarantee);
}

/// C11: a closed store answers `Closed` to everything but closing.
#[expect(clippy::cognitive_complexity, reason = "one assertion for each method, in a row")]
pub async fn a_closed_store_says_so<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    store.close().await.expect("the store closes");
    let batch = Arc::new(Batch::from(vec![remember("b")]));
    assert_eq!(store.commit(batch).await, Err(StoreError::Closed));
    assert_eq!(store.commit(Arc::default()).await, Err(StoreError::Closed));
    assert_eq!(store.pending(&peer("a"), None, items(1)).await, Err(StoreError::Closed));
    assert_eq!(store.deliveries(&id("m1")).await, Err(StoreError::Closed));
    let all = DeadLetterFilter::default();
    assert_eq!(store.dead_letters(&all, None, items(1)).await, Err(StoreError::Closed));
    assert_eq!(store.roster().await, Err(StoreError::Closed));
    assert_eq!(store.purge(Horizon::NOTHING, NonZeroU32::MIN).await, Err(StoreError::Closed));
    assert_eq!(store.stats().await, Err(StoreError::Closed));
    assert_eq!(store.check(Depth::Quick).await, Err(StoreError::Closed));
    assert_eq!(store.backup(&sandbox.beside("copy")).await, Err(StoreError::Closed));
    assert_eq!(store.close().await, Ok(()));
    drop(store);
    let store = sandbox.open().await;
    assert!(remembered(&store, "b").await.is_none(), "a closed store does nothing");
}

/// C8: a commit whose future is dropped applies whole or not at all, and the store goes on.
pub async fn a_dropped_commit_leaves_the_store_whole<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    for round in 0..20 {
        let records = (0..10).map(|n| put(message(&format!("m{round}-{n}"), &["a"])));
        let batch: Arc<Batch> = Arc::new(records.collect::<Vec<_>>().into());
        {
            let mut call = pin!(store.commit(Arc::clone(&batch)));
            let mut context = Context::from_waker(Waker::noop());
            // Begun, and dropped wherever it stands then.
            let _ = call.as_mut().poll(&mut context);
        }
        let later = recorded(&store, message(&format!("later-{round}"), &["a"])).await;
        let outcomes = store.commit(batch).await.expect("the batch commits");
        let all_new = outcomes.iter().all(|outcome| matches!(outcome, Outcome::Recorded { .. }));
        let all_known = outcomes.iter().all(|outcome| *outcome == BY_IDENTITY);
        assert!(all_new || all_known, "a dropped commit was done in part: {outcomes:?}");
        assert!(owed(&store, "a").await.contains(&later), "{later} is committed and owed");
    }
    assert_eq!(owed(&store, "a").await.len(), 20 * 11, "11 messages a round");
    assert_eq!(store.check(Depth::Full).await.expect("the check runs"), [], "a full check after dropped commits");
    let store = sandbox.reopen(store).await;
    assert_eq!(owed(&store, "a").await.len(), 20 * 11, "11 messages a round, after reopening");
}

/// C8, C2: what a commit whose future was dropped has let anyone see is there after reopening.
pub async fn what_a_dropped_commit_showed_stays<H: Harness>(sandbox: Sandbox<H>) {
    const SIZE: usize = 10;
    let mut store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    for round in 0..8 {
        let before = owed(&store, "a").await.len();
        let records = (0..SIZE).map(|n| put(message(&format!("m{round}-{n}"), &["a"])));
        let batch: Arc<Batch> = Arc::new(records.collect::<Vec<_>>().into());
        {
            let mut call = pin!(store.commit(Arc::clone(&batch)));
            let mut context = Context::from_waker(Waker::noop());
            let _ = call.as_mut().poll(&mut context);
        }
        let shown = owed(&store, "a").await;
        assert!([0, SIZE].contains(&(shown.len() - before)), "{} of {SIZE} messages show", shown.len() - before);
        store = sandbox.reopen(store).await;
        let kept = owed(&store, "a").await;
        assert!([0, SIZE].contains(&(kept.len() - before)), "{} of {SIZE} were kept", kept.len() - before);
        let lost: Vec<_> = shown.iter().filter(|sequence| !kept.contains(sequence)).collect();
        assert!(lost.is_empty(), "shown before reopening and lost by it: {lost:?}");
    }
}

/// C8: reads and purges whose futures are dropped leave the store whole.
pub async fn dropped_reads_and_purges_do_no_harm<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let sequence = recorded(&store, message("m1", &["a"])).await;
    let name = peer("a");
    for _ in 0..50 {
        let mut context = Context::from_waker(Waker::noop());
        let _ = pin!(store.pending(&name, None, items(9))).poll(&mut context);
        let _ = pin!(store.purge(Horizon::NOTHING, NonZeroU32::MIN)).poll(&mut context);
        let _ = pin!(store.stats()).poll(&mut context);
    }
    assert_eq!(owed(&store, "a").await, [sequence]);
    assert!(recorded(&store, message("m2", &["a"])).await > sequence);
}

/// C6, C8: many callers may read while one commits.
pub async fn many_read_while_one_commits<H: Harness>(sandbox: Sandbox<H>) {
    let store = Arc::new(sandbox.open().await);
    remember_all(&*store, &["a"]).await;
    let written = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..8)
        .map(|_| {
            let (store, written) = (Arc::clone(&store), Arc::clone(&written));
            tokio::spawn(async move {
                let mut most = 0;
                loop {
                    let last_round = written.load(Ordering::Acquire);
                    let seen = owed(&*store, "a").await;
                    assert!(seen.len() >= most, "what was visible went away");
                    assert!(seen.is_sorted_by(|left, right| left < right));
                    most = seen.len();
                    if last_round {
                        return most;
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for n in 0..100 {
        recorded(&*store, message(&format!("m{n}"), &["a"])).await;
    }
    written.store(true, Ordering::Release);
    for reader in readers {
        assert_eq!(reader.await.expect("the reader ends well"), 100);
    }
}

/// C2: a backup holds what the store held, opens in the same way, and goes its own way from then on.
pub async fn a_backup_is_a_store<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let first = recorded(&store, message("m1", &["a"])).await;
    let dead = recorded(&store, message("m2", &["a"])).await;
    commit(&store, vec![give_up("a", dead), attempt("a", first, 2)]).await;
    let target = sandbox.beside("copy");
    match store.backup(&target).await {
        Err(StoreError::Unsupported(_)) => return,
        made => made.expect("the backup is made"),
    }
    let later = recorded(&store, message("m3", &["a"])).await;
    let copy = sandbox.open_at(&target).await.expect("the backup opens");
    assert_eq!(owed(&copy, "a").await, [first]);
    assert_eq!(backlog(&copy, "a").await[0].attempts, 2);
    assert_eq!(all_dead(&copy).await, all_dead(&store).await);
    assert_eq!(commit_one(&copy, put(message("m1", &["a"]))).await, BY_IDENTITY);
    assert_eq!(copy.check(Depth::Full).await.expect("the check runs"), []);
    commit(&copy, vec![acknowledge("a", first)]).await;
    assert_eq!(owed(&store, "a").await, [first, later]);
}

/// C2: a backup does not write over what is there.
pub async fn a_backup_wants_a_new_path<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let sequence = recorded(&store, message("m1", &["a"])).await;
    let target = sandbox.beside("copy");
    match store.backup(&target).await {
        Err(StoreError::Unsupported(_)) => return,
        made => made.expect("the backup is made"),
    }
    commit(&store, vec![acknowledge("a", sequence)]).await;
    assert!(store.backup(&target).await.is_err(), "something is there");
    let copy = sandbox.open_at(&target).await.expect("the first backup opens");
    assert_eq!(owed(&copy, "a").await, [sequence]);
}

/// C6: the counts are exact, also after reopening.
pub async fn the_counts_are_exact<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a", "b"]).await;
    let mut given = Vec::new();
    for n in 0..6 {
        given.push(recorded(&store, message(&format!("m{n}"), &["a", "b"])).await);
    }
    commit(&store, vec![acknowledge("a", given[0]), acknowledge("b", given[0]), give_up("a", given[1])]).await;
    redriven(&store, "b", given[2]).await;
    commit(&store, vec![forget("nobody", t(1)), give_up("b", given[3])]).await;
    purge_all(&store, Horizon::NOTHING, 100).await;
    let check = |stats: slipstream_store::Stats| {
        let counts = (stats.peers, stats.pending, stats.dead_letters, stats.identities, stats.messages);
        // Still owed: m1 to m5, and m2 once more for the redrive.
        assert_eq!(counts, (2, 8, 2, 6, 6), "{stats:?}");
    };
    check(store.stats().await.expect("stats"));
    let store = sandbox.reopen(store).await;
    check(store.stats().await.expect("stats"));
}

/// C2: a store that was dropped without being closed can soon be opened again, with all that was committed.
pub async fn a_dropped_store_opens_again<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let sequence = recorded(&store, message("m1", &["a"])).await;
    drop(store);
    let store = sandbox.open_after_drop(&sandbox.path()).await.expect("a store that was dropped opens again");
    assert_eq!(owed(&store, "a").await, [sequence]);
}

/// C11: a check of a whole store finds nothing, also after much has happened to it.
pub async fn a_whole_store_has_no_defects<H: Harness>(sandbox: Sandbox<H>) {
    let mut store = sandbox.open().await;
    remember_all(&store, &["a", "b"]).await;
    for round in 0..3 {
        for n in 0..4 {
            let sequence = recorded(&store, message(&format!("m{round}-{n}"), &["a", "b"])).await;
            commit(&store, vec![attempt("a", sequence, 1), acknowledge("b", sequence)]).await;
            if n == 1 {
                redriven(&store, "a", sequence).await;
            } else if n == 2 {
                commit(&store, vec![give_up("a", sequence)]).await;
            }
        }
        for depth in [Depth::Quick, Depth::Full] {
            assert_eq!(store.check(depth).await.expect("the check runs"), [], "a {depth:?} check, round {round}");
        }
        if round == 1 {
            commit(&store, vec![forget("a", t(50)), remember("a")]).await;
            purge_all(&store, everything(), 100).await;
        }
        store = sandbox.reopen(store).await;
        assert_eq!(store.check(Depth::Full).await.expect("the check runs"), [], "after reopening, round {round}");
    }
}
