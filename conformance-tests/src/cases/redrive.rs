//! Dead letters that are owed again.

use slipstream_store::{DeliveryState, Horizon, MessageStore, Outcome, Record};

use crate::fixture::*;
use crate::harness::{Harness, Sandbox};

/// C7: a redriven delivery has a new sequence above all before, and no attempts.
pub async fn a_redrive_starts_anew<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let record = Record { expires_at: Some(t(9000)), ..message("m1", &["a"]) };
    let first = recorded(&store, record.clone()).await;
    let later = recorded(&store, message("m2", &["a"])).await;
    commit(&store, vec![attempt("a", first, 3)]).await;
    let before = backlog(&store, "a").await.swap_remove(0);
    let again = redriven(&store, "a", first).await;
    assert!(again > later);
    let after = backlog(&store, "a").await.swap_remove(1);
    let expected =
        slipstream_store::Pending { sequence: again, attempts: 0, last_attempt_at: None, redriven: true, ..before };
    assert_eq!(after, expected);
    assert_eq!(all_dead(&store).await, []);
    let store = sandbox.reopen(store).await;
    assert_eq!(backlog(&store, "a").await.swap_remove(1), expected);
    assert_eq!(commit_one(&store, attempt("a", again, 1)).await, Outcome::Applied);
    assert!(backlog(&store, "a").await[1].redriven, "an attempt does not change that");
}

/// C7: a cursor that has passed everything sees the redriven delivery.
pub async fn a_live_cursor_sees_a_redrive<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let first = recorded(&store, message("m1", &["a"])).await;
    let cursor = recorded(&store, message("m2", &["a"])).await;
    let again = redriven(&store, "a", first).await;
    let page = store.pending(&peer("a"), Some(cursor), items(10)).await.expect("the page is read");
    assert_eq!(page.items.iter().map(|item| item.sequence).collect::<Vec<_>>(), [again]);
}

/// C7, C3: a dead letter is redriven once; the old sequence names nothing any more.
pub async fn a_dead_letter_is_redriven_once<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let first = recorded(&store, message("m1", &["a"])).await;
    let again = redriven(&store, "a", first).await;
    for operation in [redrive("a", first), acknowledge("a", first), discard("a", first), attempt("a", first, 9)] {
        assert_eq!(commit_one(&store, operation.clone()).await, Outcome::Unchanged, "{operation:?}");
    }
    assert_eq!(owed(&store, "a").await, [again]);
}

/// C7: only the peer whose dead letter it is gets the message again.
pub async fn a_redrive_is_for_one_peer<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a", "b", "c"]).await;
    let first = recorded(&store, message("m1", &["a", "b", "c"])).await;
    commit(&store, vec![give_up("a", first), give_up("b", first)]).await;
    let again = sequence_of(commit_one(&store, redrive("a", first)).await);
    assert_eq!(owed(&store, "a").await, [again]);
    assert_eq!(owed(&store, "b").await, []);
    assert_eq!(owed(&store, "c").await, [first]);
    let left = all_dead(&store).await;
    assert_eq!(left.iter().map(|dead| &dead.peer).collect::<Vec<_>>(), [&peer("b")]);
    let other = sequence_of(commit_one(&store, redrive("b", first)).await);
    assert_ne!(again, other, "each redriven delivery has a sequence of its own");
}

/// C7: a dead letter of a forgotten peer stays as it is until the peer is remembered again.
pub async fn a_forgotten_peer_gets_no_redrive<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let first = recorded(&store, message("m1", &["a"])).await;
    commit(&store, vec![give_up("a", first), forget("a", t(30))]).await;
    assert_eq!(commit_one(&store, redrive("a", first)).await, Outcome::Unchanged);
    assert_eq!(all_dead(&store).await.len(), 1);
    remember_all(&store, &["a"]).await;
    let again = sequence_of(commit_one(&store, redrive("a", first)).await);
    assert_eq!(owed(&store, "a").await, [again]);
}

/// C7, C9: a dead letter is redriven whole after everything else of its message was purged, also across reopening.
pub async fn a_dead_letter_outlives_its_message<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a", "b"]).await;
    let record = message("m1", &["a", "b"]);
    let first = recorded(&store, record.clone()).await;
    commit(&store, vec![give_up("a", first), acknowledge("b", first)]).await;
    purge_all(&store, everything(), 3).await;
    let store = sandbox.reopen(store).await;
    assert_eq!(all_dead(&store).await[0].text, record.text);
    let again = sequence_of(commit_one(&store, redrive("a", first)).await);
    purge_all(&store, Horizon { expiries: t(0), ..everything() }, 3).await;
    let store = sandbox.reopen(store).await;
    let item = backlog(&store, "a").await.swap_remove(0);
    assert_eq!((item.sequence, item.text, item.key), (again, record.text, record.key));
}

/// C7: a redriven delivery settles like any other, and may die and be redriven again.
pub async fn a_redriven_delivery_is_a_delivery<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let mut sequence = recorded(&store, message("m1", &["a"])).await;
    for _ in 0..3 {
        let next = redriven(&store, "a", sequence).await;
        assert!(next > sequence);
        sequence = next;
    }
    let delivery = traced(&store, "m1").await;
    assert_eq!((delivery.sequence, delivery.state), (sequence, DeliveryState::Pending));
    assert_eq!(commit_one(&store, acknowledge("a", sequence)).await, Outcome::Applied);
    assert_eq!(owed(&store, "a").await, []);
    assert_eq!(traced(&store, "m1").await.state, DeliveryState::Acknowledged);
}

/// C4, C7: a redrive leaves the identity of its message as it was.
pub async fn a_redrive_leaves_the_identity_alone<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let first = recorded(&store, message("m1", &["a"])).await;
    redriven(&store, "a", first).await;
    assert_eq!(commit_one(&store, put(message("m1", &["a"]))).await, BY_IDENTITY);
    assert_eq!(store.stats().await.expect("stats").identities, 1);
    purge_all(&store, Horizon { identities: t(11), ..Horizon::NOTHING }, 5).await;
    let store = sandbox.reopen(store).await;
    assert_eq!(store.stats().await.expect("stats").identities, 0);
}
