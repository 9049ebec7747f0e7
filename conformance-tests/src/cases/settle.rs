//! What each operation does to a delivery, in every state that a delivery can be in.

use slipstream_store::{DeliveryState, Depth, MessageStore, Operation, Outcome, PeerId, Sequence};

use crate::fixture::*;
use crate::harness::{Harness, Sandbox};

/// Every operation on a delivery that is neither record nor roster.
fn on_a_delivery(name: &str, sequence: Sequence) -> Vec<Operation> {
    vec![
        attempt(name, sequence, 9),
        acknowledge(name, sequence),
        supersede(name, sequence),
        expire(name, sequence),
        give_up(name, sequence),
        redrive(name, sequence),
        discard(name, sequence),
    ]
}

/// C3: a delivery is settled once, in whichever way; afterwards nothing has an effect but to redrive, to discard or to
/// acknowledge a dead letter.
pub async fn a_delivery_is_settled_once<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let ways = [acknowledge, supersede, expire, give_up];
    for (n, settle) in ways.into_iter().enumerate() {
        let sequence = recorded(&store, message(&format!("m{n}"), &["a"])).await;
        assert_eq!(commit_one(&store, settle("a", sequence)).await, Outcome::Applied);
        assert_eq!(owed(&store, "a").await, [], "way {n}");
        let is_dead = n == 3;
        assert_eq!(all_dead(&store).await.len(), usize::from(is_dead));
        for operation in on_a_delivery("a", sequence) {
            let discarded = is_dead && matches!(operation, Operation::Discard { .. });
            if is_dead && matches!(operation, Operation::Redrive { .. } | Operation::Acknowledge { .. }) {
                continue;
            }
            let expected = if discarded { Outcome::Applied } else { Outcome::Unchanged };
            assert_eq!(commit_one(&store, operation.clone()).await, expected, "{operation:?} after way {n}");
        }
    }
}

/// C3: a dead letter that the peer acknowledges after all is gone, once; the trace says that it was acknowledged.
pub async fn a_dead_letter_may_be_acknowledged<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a", "b"]).await;
    let sequence = recorded(&store, message("m1", &["a", "b"])).await;
    let operations = vec![give_up("a", sequence), acknowledge_late("a", sequence, 23)];
    assert_eq!(commit(&store, operations.clone()).await, [Outcome::Applied, Outcome::AcknowledgedLate]);
    assert_eq!(commit(&store, operations).await, [Outcome::Unchanged; 2]);
    let store = sandbox.reopen(store).await;
    assert_eq!((owed(&store, "a").await, owed(&store, "b").await), (vec![], vec![sequence]));
    was_acknowledged(&store, "m1", 23).await;
}

/// C3, C7: that holds also for a dead letter that was redriven; its former sequence names nothing.
pub async fn a_redriven_dead_letter_may_be_acknowledged<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let sequence = recorded(&store, message("m1", &["a"])).await;
    commit(&store, vec![give_up("a", sequence)]).await;
    let store = sandbox.reopen(store).await;
    let Outcome::Redriven { sequence: redriven } = commit_one(&store, redrive("a", sequence)).await else {
        panic!("the dead letter is there")
    };
    commit(&store, vec![give_up("a", redriven)]).await;
    assert_eq!(commit_one(&store, acknowledge("a", sequence)).await, Outcome::Unchanged);
    assert_eq!(commit_one(&store, acknowledge_late("a", redriven, 50)).await, Outcome::AcknowledgedLate);
    let store = sandbox.reopen(store).await;
    was_acknowledged(&store, "m1", 50).await;
}

fn acknowledge_late(name: &str, sequence: Sequence, second: u64) -> Operation {
    Operation::Acknowledge { peer: peer(name), sequence, at: t(second) }
}

/// No dead letter is left, and the trace says that `a` acknowledged this message then.
async fn was_acknowledged<S: MessageStore>(store: &S, id: &str, second: u64) {
    assert_eq!((all_dead(store).await.len(), store.stats().await.expect("stats").dead_letters), (0, 0));
    let trace = store.deliveries(&message(id, &[]).identity).await.expect("a trace").expect("it is known");
    let delivery = trace.deliveries.iter().find(|delivery| delivery.peer == peer("a")).expect("a's delivery");
    assert_eq!((delivery.state, delivery.settled_at), (DeliveryState::Acknowledged, Some(t(second))));
    assert_eq!(store.check(Depth::Full).await.expect("a check"), []);
}

/// C3: on a pending delivery redrive and discard change nothing.
pub async fn a_pending_delivery_is_no_dead_letter<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let sequence = recorded(&store, message("m1", &["a"])).await;
    let outcomes = commit(&store, vec![redrive("a", sequence), discard("a", sequence)]).await;
    assert_eq!(outcomes, [Outcome::Unchanged; 2]);
    assert_eq!(owed(&store, "a").await, [sequence]);
}

/// C3: operations that name what is not there change nothing.
pub async fn what_is_not_there_is_unchanged<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a", "b"]).await;
    let sequence = recorded(&store, message("m1", &["a"])).await;
    for (name, wrong) in [("b", sequence), ("nobody", sequence), ("a", never_given()), ("a", Sequence::LAST)] {
        for operation in on_a_delivery(name, wrong) {
            assert_eq!(commit_one(&store, operation.clone()).await, Outcome::Unchanged, "{operation:?}");
        }
    }
    assert_eq!(commit_one(&store, forget("nobody", t(1))).await, Outcome::Unchanged);
    assert_eq!(owed(&store, "a").await, [sequence]);
    assert_eq!(all_dead(&store).await, []);
}

/// C1: settling one delivery leaves the message's others, and the peer's others, as they were.
pub async fn deliveries_settle_each_for_itself<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    let names = ["a", "b", "c", "d", "e"];
    remember_all(&store, &names).await;
    let first = recorded(&store, message("m1", &names)).await;
    let second = recorded(&store, message("m2", &names)).await;
    commit(&store, vec![acknowledge("a", first), supersede("b", first), expire("c", first), give_up("d", first)]).await;
    for name in ["a", "b", "c", "d"] {
        assert_eq!(owed(&store, name).await, [second], "{name}");
    }
    let store = sandbox.reopen(store).await;
    assert_eq!(owed(&store, "d").await, [second]);
    assert_eq!(owed(&store, "e").await, [first, second]);
    assert_eq!(backlog(&store, "e").await[0].text, message("m1", &[]).text);
}

/// C2: what was settled stays settled across reopening, and what was not stays pending.
pub async fn settling_outlives_reopening<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let mut given = Vec::new();
    for n in 0..9 {
        given.push(recorded(&store, message(&format!("m{n}"), &["a"])).await);
    }
    for sequence in given.iter().step_by(2) {
        commit(&store, vec![acknowledge("a", *sequence)]).await;
    }
    let pending: Vec<_> = given.iter().skip(1).step_by(2).copied().collect();
    let store = sandbox.reopen(store).await;
    assert_eq!(owed(&store, "a").await, pending);
    assert_eq!(store.stats().await.expect("stats").pending, 4);
    for sequence in given.iter().step_by(2) {
        assert_eq!(commit_one(&store, acknowledge("a", *sequence)).await, Outcome::Unchanged);
    }
}

/// C3: an attempt counts if its number is above the one noted; the number and its time are read back.
pub async fn attempts_only_count_up<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let sequence = recorded(&store, message("m1", &["a"])).await;
    let steps = [(0, false), (1, true), (1, false), (2, true), (1, false), (7, true), (6, false), (u32::MAX, true)];
    let mut highest = 0;
    for (number, counts) in steps {
        let expected = if counts { Outcome::Applied } else { Outcome::Unchanged };
        assert_eq!(commit_one(&store, attempt("a", sequence, number)).await, expected, "attempt {number}");
        highest = highest.max(number);
        let item = &backlog(&store, "a").await[0];
        let at = (highest > 0).then(|| t(100 + u64::from(highest)));
        assert_eq!((item.attempts, item.last_attempt_at), (highest, at), "attempt {number}");
    }
    let store = sandbox.reopen(store).await;
    assert_eq!(backlog(&store, "a").await[0].attempts, u32::MAX);
    assert_eq!(commit_one(&store, attempt("a", sequence, u32::MAX)).await, Outcome::Unchanged);
}

/// C1: attempts are a delivery's own, not its message's.
pub async fn attempts_belong_to_one_delivery<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a", "b"]).await;
    let sequence = recorded(&store, message("m1", &["a", "b"])).await;
    commit(&store, vec![attempt("a", sequence, 3)]).await;
    assert_eq!(backlog(&store, "a").await[0].attempts, 3);
    assert_eq!(backlog(&store, "b").await[0].attempts, 0);
}

/// C1: every remembered recipient is owed the message; those not remembered are passed over.
pub async fn only_remembered_recipients_are_owed<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a", "c"]).await;
    let sequence = recorded(&store, message("m1", &["a", "b", "c"])).await;
    remember_all(&store, &["b"]).await;
    for (name, expected) in [("a", vec![sequence]), ("b", vec![]), ("c", vec![sequence])] {
        assert_eq!(owed(&store, name).await, expected, "{name}");
    }
    let trace = trace(&store, "m1").await.expect("it was recorded");
    let peers: Vec<&PeerId> = trace.deliveries.iter().map(|delivery| &delivery.peer).collect();
    assert_eq!(peers, [&peer("a"), &peer("c")]);
}

/// C4: a message to nobody is recorded: its identity counts and it has a trace.
pub async fn a_message_to_nobody_is_recorded<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    let sequence = recorded(&store, message("m1", &[])).await;
    assert!(recorded(&store, message("m2", &["unknown"])).await > sequence);
    let store = sandbox.reopen(store).await;
    for name in ["m1", "m2"] {
        assert_eq!(commit_one(&store, put(message(name, &[]))).await, BY_IDENTITY);
        assert_eq!(trace(&store, name).await.expect("it has a trace").deliveries, []);
    }
    let stats = store.stats().await.expect("stats");
    assert_eq!((stats.pending, stats.identities), (0, 2));
}
