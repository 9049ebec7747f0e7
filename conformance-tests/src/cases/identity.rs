//! Which messages are the same message.

use slipstream_store::{ClusterGroup, Fingerprint, Horizon, MessageStore, Outcome, Record};

use crate::fixture::*;
use crate::harness::{Harness, Sandbox};

fn other_content(name: &str, recipients: &[&str]) -> Record {
    Record { fingerprint: Fingerprint::from_u64(8), ..message(name, recipients) }
}

/// C4: the first write wins; a repetition is a duplicate, other content is a conflict, and neither is owed.
pub async fn the_first_write_wins<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a", "b"]).await;
    let sequence = recorded(&store, message("m1", &["a"])).await;
    let mut repeated = message("m1", &["a", "b"]);
    repeated.text = bytes::Bytes::from_static(b"another text");
    assert_eq!(commit_one(&store, put(repeated)).await, BY_IDENTITY);
    assert_eq!(commit_one(&store, put(other_content("m1", &["a", "b"]))).await, Outcome::Conflict);
    let backlog = backlog(&store, "a").await;
    assert_eq!(backlog.len(), 1);
    assert_eq!((backlog[0].sequence, &backlog[0].text[..]), (sequence, &b"the text of m1"[..]));
    assert_eq!(owed(&store, "b").await, []);
}

/// C4: a conflict does not take the identity over.
pub async fn a_conflict_leaves_the_first_write_in_place<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    recorded(&store, message("m1", &[])).await;
    for _ in 0..2 {
        assert_eq!(commit_one(&store, put(other_content("m1", &[]))).await, Outcome::Conflict);
        assert_eq!(commit_one(&store, put(message("m1", &[]))).await, BY_IDENTITY);
    }
    assert_eq!(store.stats().await.expect("stats").identities, 1);
}

/// C4: the cluster group is a part of the identity, and so is the case of the letters.
pub async fn groups_keep_ids_apart<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    let mut elsewhere = other_content("m1", &[]);
    elsewhere.identity.group = ClusterGroup::new("elsewhere").expect("a group");
    recorded(&store, message("m1", &[])).await;
    recorded(&store, elsewhere.clone()).await;
    recorded(&store, other_content("M1", &[])).await;
    // Joined without care, these two would be equal.
    let mut left = message("b:c", &[]);
    left.identity.group = ClusterGroup::new("a").expect("a group");
    let mut right = message("c", &[]);
    right.identity.group = ClusterGroup::new("a:b").expect("a group");
    recorded(&store, left).await;
    recorded(&store, right).await;
    assert_eq!(commit_one(&store, put(elsewhere)).await, BY_IDENTITY);
    assert_eq!(store.stats().await.expect("stats").identities, 5);
}

/// C4: identities outlive reopening, with their fingerprints.
pub async fn identities_outlive_reopening<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    for n in 0..50 {
        recorded(&store, message(&format!("m{n}"), &[])).await;
    }
    let store = sandbox.reopen(store).await;
    for n in 0..50 {
        let again = commit_one(&store, put(message(&format!("m{n}"), &[]))).await;
        assert_eq!(again, BY_IDENTITY, "m{n}, recorded again after reopening");
        let other = commit_one(&store, put(other_content(&format!("m{n}"), &[]))).await;
        assert_eq!(other, Outcome::Conflict, "other content under m{n} after reopening");
    }
    assert_eq!(store.stats().await.expect("stats").identities, 50, "identities after reopening");
}

/// C4: an identity is remembered when its message is settled and gone, also across reopening.
pub async fn settled_messages_keep_their_identity<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let sequence = recorded(&store, message("m1", &["a"])).await;
    commit(&store, vec![acknowledge("a", sequence)]).await;
    let horizon = Horizon { traces: t(1000), max_trace_bytes: 0, identities: t(10), ..Horizon::NOTHING };
    purge_all(&store, horizon, 10).await;
    assert_eq!(commit_one(&store, put(message("m1", &["a"]))).await, BY_IDENTITY);
    let store = sandbox.reopen(store).await;
    let again = commit_one(&store, put(message("m1", &["a"]))).await;
    assert_eq!(again, BY_IDENTITY, "m1, settled, and recorded again after reopening");
    assert_eq!(owed(&store, "a").await, []);
}

/// C4: behind its horizon an identity is free again, and stays so across reopening.
pub async fn behind_the_horizon_an_identity_is_free<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let old = recorded(&store, Record { received_at: t(10), ..message("old", &["a"]) }).await;
    recorded(&store, Record { received_at: t(11), ..message("new", &["a"]) }).await;
    purge_all(&store, Horizon { identities: t(11), ..Horizon::NOTHING }, 10).await;
    assert_eq!(store.stats().await.expect("stats").identities, 1);
    let store = sandbox.reopen(store).await;
    assert_eq!(store.stats().await.expect("stats").identities, 1, "identities after reopening");
    let other = commit_one(&store, put(other_content("new", &["a"]))).await;
    assert_eq!(other, Outcome::Conflict, "other content under an identity that was not purged, after reopening");
    let again = recorded(&store, other_content("old", &["a"])).await;
    assert!(again > old);
    assert_eq!(owed(&store, "a").await.len(), 3, "what was pending under the forgotten identity stays pending");
    let store = sandbox.reopen(store).await;
    assert_eq!(commit_one(&store, put(message("old", &["a"]))).await, Outcome::Conflict);
}

/// C4, C9: no more identities are kept than asked, and those that stay are the last recorded.
pub async fn the_last_recorded_identities_stay<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    // A time that runs backwards shows whether the order of recording counts.
    for n in 0..10_u64 {
        recorded(&store, Record { received_at: t(100 - n), ..message(&format!("m{n}"), &[]) }).await;
    }
    let horizon = Horizon { max_identities: 4, ..Horizon::NOTHING };
    purge_all(&store, horizon, 3).await;
    assert_eq!(store.stats().await.expect("stats").identities, 4);
    let store = sandbox.reopen(store).await;
    assert_eq!(store.stats().await.expect("stats").identities, 4, "identities after reopening");
    for n in 6..10 {
        assert_eq!(commit_one(&store, put(message(&format!("m{n}"), &[]))).await, BY_IDENTITY, "m{n}");
    }
    for n in 0..6 {
        recorded(&store, message(&format!("m{n}"), &[])).await;
    }
}

/// C4, C9: identities leave in the order of their recording, so one behind a later one waits for it.
pub async fn identities_leave_in_the_order_of_recording<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    for (name, seconds) in [("first", 10), ("second", 50), ("third", 20)] {
        recorded(&store, Record { received_at: t(seconds), ..message(name, &[]) }).await;
    }
    purge_all(&store, Horizon { identities: t(30), ..Horizon::NOTHING }, 1).await;
    assert_eq!(store.stats().await.expect("stats").identities, 2);
    assert_eq!(commit_one(&store, put(message("third", &[]))).await, BY_IDENTITY);
    purge_all(&store, Horizon { identities: t(51), ..Horizon::NOTHING }, 1).await;
    assert_eq!(store.stats().await.expect("stats").identities, 0);
}

/// C4: a duplicate does not make an identity younger.
pub async fn a_duplicate_keeps_the_first_time<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    recorded(&store, Record { received_at: t(10), ..message("m1", &[]) }).await;
    let again = Record { received_at: t(90), ..message("m1", &[]) };
    assert_eq!(commit_one(&store, put(again.clone())).await, BY_IDENTITY);
    purge_all(&store, Horizon { identities: t(50), ..Horizon::NOTHING }, 10).await;
    recorded(&store, again).await;
}
