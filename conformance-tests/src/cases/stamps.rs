//! Messages that other relays numbered.

use slipstream_store::{Fingerprint, Horizon, MessageStore, Outcome, Record};

use crate::fixture::*;
use crate::harness::{Harness, Sandbox};

fn stamped(name: &str, epoch: u64, number: u64) -> Record {
    Record { stamp: Some(stamp(epoch, number)), ..message(name, &["a"]) }
}

/// C4: a second record of a stamp is a duplicate, whatever its identity, also across reopening.
pub async fn a_stamp_counts_once<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let sequence = recorded(&store, stamped("m1", 1, 0)).await;
    assert_eq!(commit_one(&store, put(stamped("m2", 1, 0))).await, BY_STAMP);
    let store = sandbox.reopen(store).await;
    assert_eq!(commit_one(&store, put(stamped("m2", 1, 0))).await, BY_STAMP);
    assert_eq!(owed(&store, "a").await, [sequence]);
    assert_eq!(trace(&store, "m2").await, None);
}

/// C4: a duplicate by stamp does not remember its identity.
pub async fn a_duplicate_by_stamp_leaves_its_identity_free<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    recorded(&store, stamped("m1", 1, 5)).await;
    assert_eq!(commit_one(&store, put(stamped("m2", 1, 5))).await, BY_STAMP);
    assert_eq!(store.stats().await.expect("stats").identities, 1);
    recorded(&store, stamped("m2", 1, 6)).await;
}

/// C4: the stamp of a duplicate by identity counts as seen.
pub async fn a_duplicate_by_identity_marks_its_stamp<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    recorded(&store, stamped("m1", 1, 1)).await;
    assert_eq!(commit_one(&store, put(stamped("m1", 1, 2))).await, BY_IDENTITY);
    let store = sandbox.reopen(store).await;
    assert_eq!(commit_one(&store, put(stamped("m2", 1, 2))).await, BY_STAMP);
}

/// C4: the stamp of a conflict does not count as seen.
pub async fn a_conflict_does_not_mark_its_stamp<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    recorded(&store, stamped("m1", 1, 1)).await;
    let conflicting = Record { fingerprint: Fingerprint::from_u64(8), ..stamped("m1", 1, 2) };
    assert_eq!(commit_one(&store, put(conflicting)).await, Outcome::Conflict);
    recorded(&store, stamped("m2", 1, 2)).await;
}

/// C4: asking for a new message marks neither its identity nor its stamp.
pub async fn what_is_only_asked_for_is_not_recorded<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    for _ in 0..2 {
        assert_eq!(commit_one(&store, recognise(stamped("m1", 1, 1))).await, Outcome::Unchanged);
    }
    assert_eq!((store.stats().await.expect("stats").identities, owed(&store, "a").await), (0, vec![]));
    assert_eq!(trace(&store, "m1").await, None);
    let store = sandbox.reopen(store).await;
    recorded(&store, stamped("m1", 1, 1)).await;
    let asked = |name, number| recognise(stamped(name, 1, number));
    let outcomes = commit(&store, vec![asked("m2", 2), put(stamped("m2", 1, 2)), asked("m2", 2)]).await;
    assert_eq!((outcomes[0], outcomes[2]), (Outcome::Unchanged, BY_IDENTITY), "{outcomes:?}");
}

/// C4: asking for a message that was recorded answers, and does, what recording it again would.
pub async fn what_is_asked_for_is_recognised_as_in_recording<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let sequence = recorded(&store, stamped("m1", 1, 1)).await;
    let conflicting = Record { fingerprint: Fingerprint::from_u64(8), ..stamped("m1", 1, 2) };
    assert_eq!(commit_one(&store, recognise(conflicting)).await, Outcome::Conflict);
    assert_eq!(commit_one(&store, recognise(stamped("m2", 1, 1))).await, BY_STAMP);
    assert_eq!(commit_one(&store, recognise(stamped("m1", 1, 3))).await, BY_IDENTITY);
    let store = sandbox.reopen(store).await;
    recorded(&store, stamped("m2", 1, 2)).await;
    assert_eq!(commit_one(&store, put(stamped("m3", 1, 3))).await, BY_STAMP, "seen with a duplicate by identity");
    assert_eq!(owed(&store, "a").await[0], sequence);
}

/// C4: epochs keep numbers apart; numbers come in any order, near and far, and at both ends.
pub async fn epochs_and_numbers_keep_apart<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    let numbers = [1024, 0, 1023, 1_000_000, 1, 2048, 1025, u64::MAX, u64::MAX - 1024, 1 << 63];
    for epoch in [3, 1, 2] {
        for number in numbers {
            recorded(&store, stamped(&format!("m-{epoch}-{number}"), epoch, number)).await;
        }
    }
    let store = sandbox.reopen(store).await;
    for epoch in [1, 2, 3] {
        for number in numbers {
            let again = stamped(&format!("again-{epoch}-{number}"), epoch, number);
            assert_eq!(commit_one(&store, put(again)).await, BY_STAMP, "{epoch}:{number}");
        }
    }
    for near in [2, 1022, 1026, u64::MAX - 1] {
        recorded(&store, stamped(&format!("near-{near}"), 1, near)).await;
    }
}

/// C4, C9: stamps outlive the identities of their messages, and stay until their own horizon.
pub async fn stamps_stay_until_their_horizon<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    recorded(&store, Record { received_at: t(10), ..stamped("old", 1, 0) }).await;
    recorded(&store, Record { received_at: t(60), ..stamped("new", 2, 0) }).await;
    // The stamp of the epoch comes again later, which makes it younger.
    let again = Record { received_at: t(60), ..stamped("old", 3, 0) };
    recorded(&store, Record { received_at: t(10), ..stamped("third", 3, 0) }).await;
    assert_eq!(commit_one(&store, put(again)).await, BY_IDENTITY);
    purge_all(&store, Horizon { stamps: t(50), ..everything() }, 2).await;
    let store = sandbox.reopen(store).await;
    assert_eq!(store.stats().await.expect("stats").identities, 0);
    assert_eq!(commit_one(&store, put(stamped("x", 2, 0))).await, BY_STAMP);
    assert_eq!(commit_one(&store, put(stamped("y", 3, 0))).await, BY_STAMP);
    // Behind the horizon it may be forgotten or not; a stamp that is remembered is the only other right answer.
    let outcome = commit_one(&store, put(stamped("z", 1, 0))).await;
    assert!(matches!(outcome, Outcome::Recorded { .. }) || outcome == BY_STAMP, "{outcome:?}");
}
