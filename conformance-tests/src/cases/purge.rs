//! What a purge takes and what it leaves.

use std::num::NonZeroU32;

use slipstream_store::{DeliveryState, Horizon, MessageStore, Record};

use crate::fixture::*;
use crate::harness::{Harness, Sandbox};

/// C9: the horizon that forgets nothing removes nothing that anyone is owed, remembers or can trace.
pub async fn nothing_goes_behind_no_horizon<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let first = recorded(&store, message("m1", &["a"])).await;
    let second = recorded(&store, message("m2", &["a"])).await;
    let third = recorded(&store, Record { expires_at: Some(t(1)), ..message("m3", &["a"]) }).await;
    commit(&store, vec![acknowledge("a", first)]).await;
    let purged = purge_all(&store, Horizon::NOTHING, 100).await;
    assert_eq!(purged.expired, []);
    let store = sandbox.reopen(store).await;
    assert_eq!(owed(&store, "a").await, [second, third]);
    assert_eq!(store.stats().await.expect("stats").identities, 3);
    for name in ["m1", "m2", "m3"] {
        assert!(trace(&store, name).await.is_some(), "{name}");
    }
}

/// C9: what is pending and not expired stays, whatever the horizon.
pub async fn pending_deliveries_stay<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a", "b"]).await;
    let never = recorded(&store, message("never", &["a", "b"])).await;
    let later = recorded(&store, Record { expires_at: Some(t(501)), ..message("later", &["a"]) }).await;
    commit(&store, vec![acknowledge("b", never)]).await;
    let before = backlog(&store, "a").await;
    let purged = purge_all(&store, Horizon { expiries: t(500), ..everything() }, 1).await;
    assert_eq!(purged.expired, []);
    assert_eq!(backlog(&store, "a").await, before);
    let store = sandbox.reopen(store).await;
    assert_eq!(owed(&store, "a").await, [never, later]);
    assert_eq!(backlog(&store, "a").await, before);
    for name in ["never", "later"] {
        assert!(trace(&store, name).await.is_some(), "{name}: the trace stays while a delivery is pending");
    }
    let purged = purge_all(&store, everything(), 1).await;
    assert_eq!(purged.expired, [(peer("a"), later)], "what never expires stays at the end of time");
}

/// C9: deliveries expire at their expiry, not before, by the time that the purge is given.
pub async fn expiry_goes_by_the_time_given<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a", "b"]).await;
    let mut given = Vec::new();
    for (name, seconds) in [("m1", 300), ("m2", 100), ("m3", 200)] {
        given.push(recorded(&store, Record { expires_at: Some(t(seconds)), ..message(name, &["a", "b"]) }).await);
    }
    commit(&store, vec![acknowledge("b", given[1])]).await;
    let store = sandbox.reopen(store).await;
    // The time of day is another than the relay's.
    let at = |expiries| Horizon { now: t(70), expiries, ..Horizon::NOTHING };
    let just_before = slipstream_store::Timestamp::from_millis(99_999);
    assert_eq!(purge_all(&store, at(just_before), 10).await.expired, []);
    assert_eq!(purge_all(&store, at(t(100)), 10).await.expired, [(peer("a"), given[1])]);
    assert_eq!(owed(&store, "a").await, [given[0], given[2]]);
    let delivery = traced_for(&store, "m2", "a").await;
    assert_eq!((delivery.state, delivery.settled_at), (DeliveryState::Expired, Some(t(70))));
    let mut expired = purge_all(&store, at(t(250)), 1).await.expired;
    expired.sort();
    assert_eq!(expired, [(peer("a"), given[2]), (peer("b"), given[2])]);
    let store = sandbox.reopen(store).await;
    assert_eq!(owed(&store, "b").await, [given[0]]);
    assert_eq!(store.stats().await.expect("stats").pending, 2);
}

async fn traced_for<S: MessageStore>(store: &S, message: &str, name: &str) -> slipstream_store::TracedDelivery {
    let trace = trace(store, message).await.expect("it has a trace");
    trace.deliveries.into_iter().find(|delivery| delivery.peer == peer(name)).expect("it was delivered")
}

/// C9: a redriven delivery keeps its message's expiry.
pub async fn redriven_deliveries_expire<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let first = recorded(&store, Record { expires_at: Some(t(100)), ..message("m1", &["a"]) }).await;
    let again = redriven(&store, "a", first).await;
    let purged = purge_all(&store, Horizon { expiries: t(100), ..Horizon::NOTHING }, 5).await;
    assert_eq!(purged.expired, [(peer("a"), again)]);
}

/// C9: one call removes at most its budget, of expired deliveries, identities and all else.
pub async fn a_purge_keeps_to_its_budget<H: Harness>(sandbox: Sandbox<H>) {
    const MESSAGES: u64 = 40;
    let store = sandbox.open().await;
    remember_all(&store, &["a", "b"]).await;
    let records = (0..MESSAGES).map(|n| {
        put(Record { expires_at: Some(t(100)), stamp: Some(stamp(1, n)), ..message(&format!("m{n}"), &["a", "b"]) })
    });
    commit(&store, records.collect()).await;
    let budget = NonZeroU32::new(7).expect("not zero");
    let horizon = Horizon { expiries: t(100), identities: t(100), ..Horizon::NOTHING };
    let (mut expired, mut calls) = (0, 0);
    loop {
        let before = store.stats().await.expect("stats");
        let purged = store.purge(horizon, budget).await.expect("the purge runs");
        let after = store.stats().await.expect("stats");
        let gone = (before.pending - after.pending) + (before.identities - after.identities);
        assert!(gone <= 7 && gone <= purged.removed && purged.removed <= 7, "{gone} gone: {purged:?}");
        assert_eq!(before.pending - after.pending, purged.expired.len() as u64);
        expired += purged.expired.len() as u64;
        calls += 1;
        if !purged.more {
            assert_eq!((after.pending, after.identities, after.messages), (0, 0, 0));
            break;
        }
    }
    assert_eq!(expired, MESSAGES * 2);
    assert!(calls >= (MESSAGES * 3).div_ceil(7), "{calls} calls");
}

/// C9: once a purge says that there is no more, another with the same horizon removes nothing.
pub async fn a_finished_purge_has_nothing_left<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a", "b"]).await;
    for n in 0..20 {
        let sequence = recorded(&store, message(&format!("m{n}"), &["a", "b"])).await;
        commit(&store, vec![acknowledge("a", sequence), supersede("b", sequence)]).await;
    }
    purge_all(&store, everything(), 3).await;
    for store in [&store, &store] {
        let purged = purge_all(store, everything(), 3).await;
        assert_eq!(purged, slipstream_store::Purged::default());
    }
}

/// C9: messages that nobody is owed any more give their room back, whatever stands before and behind them.
pub async fn settled_messages_leave<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a", "away"]).await;
    let first = recorded(&store, message("first", &["away"])).await;
    let mut settled = Vec::new();
    for n in 0..100 {
        settled.push(acknowledge("a", recorded(&store, message(&format!("m{n}"), &["a"])).await));
    }
    let last = recorded(&store, message("last", &["away"])).await;
    commit(&store, settled).await;
    purge_all(&store, Horizon::NOTHING, 1000).await;
    assert_eq!(store.stats().await.expect("stats").messages, 2);
    assert_eq!(owed(&store, "away").await, [first, last]);
    commit(&store, vec![give_up("away", first), expire("away", last)]).await;
    purge_all(&store, Horizon::NOTHING, 1000).await;
    assert_eq!(store.stats().await.expect("stats").messages, 0, "a dead letter holds no message back");
}

/// C9: a purge with an earlier horizon than before forgets no more than that horizon says.
pub async fn each_purge_goes_by_its_own_horizon<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    recorded(&store, Record { received_at: t(10), ..message("m1", &[]) }).await;
    purge_all(&store, Horizon { now: t(1000), expiries: t(1000), identities: t(900), ..Horizon::NOTHING }, 5).await;
    // The clock was wrong and has been set right.
    let fresh = Record { received_at: t(100), expires_at: Some(t(500)), ..message("m2", &["a"]) };
    let sequence = recorded(&store, fresh.clone()).await;
    let purged =
        purge_all(&store, Horizon { now: t(101), expiries: t(101), identities: t(50), ..Horizon::NOTHING }, 5).await;
    assert_eq!(purged.expired, []);
    assert_eq!(owed(&store, "a").await, [sequence]);
    assert_eq!(commit_one(&store, put(fresh)).await, BY_IDENTITY);
}

/// C9: a store that turns over stays bounded, also if one message at its head is never acknowledged.
pub async fn a_store_that_turns_over_stays_bounded<H: Harness>(sandbox: Sandbox<H>) {
    const ROUNDS: usize = 48;
    let store = sandbox.open().await;
    remember_all(&store, &["a", "away"]).await;
    recorded(&store, message("held", &["away"])).await;
    let text = bytes::Bytes::from(vec![b'x'; 2048]);
    let mut bytes = Vec::new();
    for round in 0..ROUNDS {
        let records = (0..250).map(|n| Record { text: text.clone(), ..message(&format!("m{round}-{n}"), &["a"]) });
        let outcomes = commit(&store, records.map(put).collect()).await;
        commit(&store, outcomes.into_iter().map(|outcome| acknowledge("a", sequence_of(outcome))).collect()).await;
        purge_all(&store, Horizon { now: t(0), ..everything() }, 1000).await;
        let stats = store.stats().await.expect("stats");
        assert_eq!((stats.messages, stats.pending, stats.identities), (1, 1, 0), "round {round}");
        bytes.push(stats.bytes);
    }
    // A log or a free list may still grow in the first rounds; what turned over in all is 24 MiB.
    let (warm, end) = (bytes[..ROUNDS / 2].iter().max(), bytes[ROUNDS / 2..].iter().max());
    let allowed = warm.copied().unwrap_or_default() + 4 * 1024 * 1024;
    assert!(end <= Some(&allowed), "the store grew: {bytes:?}");
}
