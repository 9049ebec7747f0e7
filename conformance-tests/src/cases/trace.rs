//! Where a message stands, peer by peer.

use slipstream_store::{DeadLetterReason, DeliveryState, Fingerprint, Horizon, Record, Trace, TracedDelivery};

use crate::fixture::*;
use crate::harness::{Harness, Sandbox};

/// C6: a trace gives back what was recorded, and nothing is known of what was not.
pub async fn a_trace_tells_the_way<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    assert_eq!(trace(&store, "m1").await, None);
    remember_all(&store, &["b", "a"]).await;
    let record = message("m1", &["b", "a"]);
    let sequence = recorded(&store, record.clone()).await;
    let expected = Trace {
        identity: record.identity,
        message_type: record.message_type,
        key: record.key,
        received_at: record.received_at,
        received_from: peer("sender"),
        path: vec![peer("far"), peer("here")],
        deliveries: vec![untouched("a", sequence), untouched("b", sequence)],
    };
    assert_eq!(trace(&store, "m1").await, Some(expected.clone()));
    let store = sandbox.reopen(store).await;
    assert_eq!(trace(&store, "m1").await, Some(expected));
    assert_eq!(trace(&store, "m2").await, None);
}

/// C6: every state that a delivery can be in shows, with its time, attempts and reason, also after reopening.
pub async fn every_state_shows<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    let names = ["acked", "dead", "discarded", "expired", "pending", "redriven", "replaced", "tried"];
    remember_all(&store, &names).await;
    let sequence = recorded(&store, message("m1", &names)).await;
    commit(&store, names.iter().map(|name| attempt(name, sequence, 2)).collect()).await;
    let outcomes = commit(
        &store,
        vec![
            acknowledge("acked", sequence),
            give_up_for("dead", sequence, DeadLetterReason::rejected("no")),
            give_up("discarded", sequence),
            discard("discarded", sequence),
            expire("expired", sequence),
            give_up("redriven", sequence),
            supersede("replaced", sequence),
            attempt("tried", sequence, 3),
            redrive("redriven", sequence),
        ],
    )
    .await;
    let again = sequence_of(outcomes[8]);
    let settled =
        |name, state, seconds| TracedDelivery { state, settled_at: Some(t(seconds)), ..untouched(name, sequence) };
    let dead = TracedDelivery {
        attempts: 4,
        reason: Some(DeadLetterReason::rejected("no")),
        ..settled("dead", DeliveryState::Dead, 23)
    };
    let tried = |name, attempts: u32| TracedDelivery {
        attempts,
        last_attempt_at: Some(t(100 + u64::from(attempts))),
        ..untouched(name, sequence)
    };
    let expected = [
        settled("acked", DeliveryState::Acknowledged, 20),
        dead,
        settled("discarded", DeliveryState::Dead, 23),
        settled("expired", DeliveryState::Expired, 22),
        tried("pending", 2),
        untouched("redriven", again),
        settled("replaced", DeliveryState::Superseded, 21),
        tried("tried", 3),
    ];
    assert_eq!(trace(&store, "m1").await.expect("it has a trace").deliveries, expected);
    let store = sandbox.reopen(store).await;
    assert_eq!(trace(&store, "m1").await.expect("it has a trace").deliveries, expected);
}

/// C9: a trace stays until its last delivery was settled before the horizon; whole, not in part.
pub async fn traces_stay_until_their_horizon<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a", "b"]).await;
    let sequence = recorded(&store, message("m1", &["a", "b"])).await;
    recorded(&store, Record { received_at: t(20), ..message("to-nobody", &[]) }).await;
    commit(&store, vec![acknowledge("a", sequence)]).await;
    // Settled 20 seconds in; the other delivery is pending, and that alone keeps all of the trace.
    purge_all(&store, Horizon { traces: t(20), ..Horizon::NOTHING }, 4).await;
    assert!(trace(&store, "to-nobody").await.is_some());
    purge_all(&store, Horizon { traces: t(5000), ..Horizon::NOTHING }, 4).await;
    let kept = trace(&store, "m1").await.expect("a delivery is pending");
    assert_eq!(kept.deliveries.len(), 2);
    assert_eq!(kept.deliveries[0].settled_at, Some(t(20)));
    commit(&store, vec![expire("b", sequence)]).await;
    let before = trace(&store, "m1").await;
    purge_all(&store, Horizon { traces: t(22), ..Horizon::NOTHING }, 4).await;
    let store = sandbox.reopen(store).await;
    assert_eq!(trace(&store, "m1").await, before);
    purge_all(&store, Horizon { traces: t(23), ..Horizon::NOTHING }, 4).await;
    let after = trace(&store, "m1").await;
    assert!(after.is_none() || after == before, "behind its horizon a trace is whole or gone: {after:?}");
}

/// C9: traces do not depend on identities: one outlives the other.
pub async fn traces_outlive_identities<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let sequence = recorded(&store, message("m1", &["a"])).await;
    commit(&store, vec![acknowledge("a", sequence)]).await;
    let before = trace(&store, "m1").await;
    assert!(before.is_some());
    let horizon = Horizon { traces: t(0), ..everything() };
    purge_all(&store, horizon, 10).await;
    let store = sandbox.reopen(store).await;
    assert_eq!(trace(&store, "m1").await, before);
}

/// C4: if an identity was recorded again after its horizon, the newest record is traced.
pub async fn the_newest_record_is_traced<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let old = recorded(&store, message("m1", &["a"])).await;
    purge_all(&store, Horizon { identities: t(11), ..Horizon::NOTHING }, 10).await;
    let newer = Record { received_at: t(40), fingerprint: Fingerprint::from_u64(9), ..message("m1", &["a"]) };
    let new = recorded(&store, newer).await;
    commit(&store, vec![acknowledge("a", old)]).await;
    let store = sandbox.reopen(store).await;
    assert_eq!(traced(&store, "m1").await, untouched("a", new));
    assert_eq!(trace(&store, "m1").await.expect("it has a trace").received_at, t(40));
}
