//! Dead letters that are put into a store, after they were taken out of one.

use slipstream_store::{
    DeadLetter, DeadLetterReason, DeliveryState, Depth, Horizon, MessageStore, Operation, Outcome, Record, Sequence,
};

use crate::fixture::*;
use crate::harness::{Harness, Sandbox};

/// Takes all dead letters out of the store: removes them and returns them.
async fn taken_out<S: MessageStore>(store: &S) -> Vec<DeadLetter> {
    let taken = all_dead(store).await;
    let discards = taken.iter().map(|dead| discard(dead.peer.as_str(), dead.sequence)).collect();
    assert_eq!(commit(store, discards).await, vec![Outcome::Applied; taken.len()]);
    taken
}

/// Puts a dead letter back.
fn put_back(dead: &DeadLetter, record: &Record) -> Operation {
    Operation::ImportDeadLetter {
        peer: dead.peer.clone(),
        message: Box::new(record.clone()),
        reason: dead.reason.clone(),
        attempts: dead.attempts,
        dead_at: dead.dead_at,
    }
}

fn adopt(alias: &str, name: &str) -> Operation {
    Operation::AdoptPeer { alias: peer(alias), peer: Box::new(application(name)) }
}

/// Peer, sequence and state of each delivery of a trace, by peer.
async fn told<S: MessageStore>(store: &S, name: &str) -> Vec<(String, Sequence, DeliveryState)> {
    let trace = trace(store, name).await.expect("it has a trace");
    let told = |it: &slipstream_store::TracedDelivery| (it.peer.to_string(), it.sequence, it.state);
    trace.deliveries.iter().map(told).collect()
}

/// C5, C6: every field of an imported dead letter is that of the one that was taken out, but for its sequence, which is
/// new; and the counts are right, also after reopening. Its peer need not be remembered.
pub async fn an_imported_dead_letter_is_as_it_was<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a", "b"]).await;
    let record = Record { expires_at: Some(t(90)), ..message("m1", &["a", "b"]) };
    let first = recorded(&store, record.clone()).await;
    commit(&store, vec![give_up_for("a", first, "rejected: zu groß"), give_up("b", first)]).await;
    let counts = store.dead_letter_counts().await.expect("counts");
    let taken = taken_out(&store).await;
    commit(&store, vec![forget("b", t(30))]).await;
    let new = sequences(&store, taken.iter().map(|dead| put_back(dead, &record)).collect()).await;
    assert!(first < new[0] && new[0] < new[1], "{first:?}, {new:?}");
    let expected: Vec<_> = taken.into_iter().zip(new).map(|(dead, sequence)| DeadLetter { sequence, ..dead }).collect();
    assert_eq!(all_dead(&store).await, expected);
    let store = sandbox.reopen(store).await;
    assert_eq!(all_dead(&store).await, expected);
    assert_eq!(store.dead_letter_counts().await.expect("counts"), counts);
    let stats = store.stats().await.expect("stats");
    assert_eq!((stats.dead_letters, stats.pending), (2, 0), "nothing is owed by an import");
    assert_eq!(store.check(Depth::Full).await.expect("a check"), []);
}

/// C3: what was imported is not imported again: not in one batch, not later, not after reopening, and not after it was
/// redriven and has died again. Once it has left it is imported anew.
pub async fn a_dead_letter_is_imported_once<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let again = || import("a", message("m1", &[]));
    let outcomes = commit(&store, vec![again(), again(), import("b", message("m1", &[]))]).await;
    let sequence = sequence_of(outcomes[0]);
    assert_eq!((outcomes[1], all_dead(&store).await.len()), (Outcome::Unchanged, 2));
    let store = sandbox.reopen(store).await;
    assert_eq!(commit_one(&store, again()).await, Outcome::Unchanged);
    let redriven = sequence_of(commit_one(&store, redrive("a", sequence)).await);
    commit(&store, vec![give_up("a", redriven)]).await;
    assert_eq!(commit_one(&store, again()).await, Outcome::Unchanged, "it has died again");
    commit(&store, vec![discard("a", redriven)]).await;
    assert!(sequence_of(commit_one(&store, again()).await) > redriven);
    assert_eq!(all_dead(&store).await.len(), 2);
}

/// C3: a dead letter that was never taken out is not imported, whether it was redriven or moved before; nor is one
/// imported whose record comes in the same batch.
pub async fn what_is_a_dead_letter_already_is_not_imported<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a", "alias"]).await;
    let first = recorded(&store, message("m1", &["a"])).await;
    let second = recorded(&store, message("m2", &["a"])).await;
    let moved = recorded(&store, message("m3", &["alias"])).await;
    commit(&store, vec![give_up("a", first), give_up("alias", moved)]).await;
    let redriven = redriven(&store, "a", second).await;
    commit(&store, vec![give_up("a", redriven), adopt("alias", "b")]).await;
    let before = all_dead(&store).await;
    let store = sandbox.reopen(store).await;
    for (name, letter) in [("a", "m1"), ("a", "m2"), ("b", "m3")] {
        assert_eq!(commit_one(&store, import(name, message(letter, &[]))).await, Outcome::Unchanged, "{letter}");
    }
    assert_eq!(all_dead(&store).await, before);
    assert!(
        matches!(commit_one(&store, import("a", message("m3", &[]))).await, Outcome::Imported { .. }),
        "not its own"
    );
    let next = before.iter().map(|dead| dead.sequence.get()).max().expect("some") + 2;
    // A store may leave gaps; then the delivery that is to be given up is not the one that was recorded.
    let next = Sequence::new(next).expect("it is small");
    let outcomes =
        commit(&store, vec![put(message("m4", &["a"])), give_up("a", next), import("a", message("m4", &[]))]);
    let outcomes = outcomes.await;
    let was_there = outcomes[1] == Outcome::Applied;
    assert_eq!(outcomes[2] == Outcome::Unchanged, was_there, "{outcomes:?}");
}

/// C3: of one identity and one peer there may be dead letters with several texts.
pub async fn another_text_is_another_dead_letter<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    let other = || Record { text: "another text".into(), ..message("m1", &[]) };
    let outcomes = commit(&store, vec![import("a", message("m1", &[])), import("a", other())]).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Imported { .. })), "{outcomes:?}");
    let texts: Vec<_> = all_dead(&store).await.into_iter().map(|dead| dead.text).collect();
    assert_eq!(texts, [message("m1", &[]).text, other().text]);
    assert_eq!(
        commit(&store, vec![import("a", message("m1", &[])), import("a", other())]).await,
        [Outcome::Unchanged; 2]
    );
}

/// C4: an import is neither a repetition nor makes one: identities and stamps are as they were, also after reopening.
pub async fn an_import_leaves_identities_and_stamps_alone<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let known = message("known", &["a"]);
    let new = Record { stamp: Some(stamp(1, 7)), ..message("new", &["a"]) };
    recorded(&store, known.clone()).await;
    commit(&store, vec![import("a", known.clone()), import("a", new.clone())]).await;
    assert_eq!((all_dead(&store).await.len(), store.stats().await.expect("stats").identities), (2, 1));
    let store = sandbox.reopen(store).await;
    assert_eq!(commit_one(&store, put(known)).await, BY_IDENTITY);
    assert_eq!(commit_one(&store, recognise(new.clone())).await, Outcome::Unchanged);
    recorded(&store, new.clone()).await;
    assert_eq!(commit_one(&store, put(new)).await, BY_IDENTITY);
    assert_eq!(store.stats().await.expect("stats").identities, 2);
}

/// C7, C12: an imported dead letter is redriven as any other, once its peer is remembered.
pub async fn an_imported_dead_letter_is_redriven<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    let record = Record { expires_at: Some(t(90)), ..message("m1", &[]) };
    let sequence = sequence_of(commit_one(&store, import("a", record.clone())).await);
    assert_eq!(commit_one(&store, redrive("a", sequence)).await, Outcome::Unchanged);
    remember_all(&store, &["a"]).await;
    let store = sandbox.reopen(store).await;
    let redriven = sequence_of(commit_one(&store, redrive("a", sequence)).await);
    let store = sandbox.reopen(store).await;
    let owed = backlog(&store, "a").await;
    assert_eq!((owed.len(), owed[0].sequence, owed[0].attempts, owed[0].redriven), (1, redriven, 0, true));
    assert_eq!((&owed[0].text, owed[0].expires_at), (&record.text, record.expires_at));
    assert_eq!(told(&store, "m1").await, [("a".to_owned(), redriven, DeliveryState::Pending)]);
    commit(&store, vec![acknowledge("a", redriven)]).await;
    assert_eq!(told(&store, "m1").await, [("a".to_owned(), redriven, DeliveryState::Acknowledged)]);
    assert_eq!(store.check(Depth::Full).await.expect("a check"), []);
}

/// C12: a peer that takes the place of its alias takes its imported dead letters, too, beside those of its own.
pub async fn an_adoption_takes_imports_for_messages_of_their_own<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a", "alias"]).await;
    let first = recorded(&store, message("m1", &["a"])).await;
    commit(&store, vec![give_up("a", first)]).await;
    let moved = sequence_of(commit_one(&store, import("alias", message("m1", &[]))).await);
    commit(&store, vec![adopt("alias", "a")]).await;
    let store = sandbox.reopen(store).await;
    let dead: Vec<_> = all_dead(&store).await.into_iter().map(|dead| (dead.peer, dead.sequence)).collect();
    assert_eq!(dead, [(peer("a"), first), (peer("a"), moved)]);
    assert_eq!(store.check(Depth::Full).await.expect("a check"), []);
}

/// C6: an import belongs to the trace of the newest record of its identity before it; of each peer the newest delivery is
/// told.
pub async fn a_trace_tells_of_imports<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a", "b", "c"]).await;
    let record = message("m1", &["a", "b", "c"]);
    let first = recorded(&store, record.clone()).await;
    commit(&store, vec![acknowledge("a", first), give_up("b", first)]).await;
    taken_out(&store).await;
    let later = || Record { received_at: t(40), ..record.clone() };
    let imported = sequence_of(commit_one(&store, import("b", later())).await);
    let elsewhere = sequence_of(commit_one(&store, import("stranger", later())).await);
    let store = sandbox.reopen(store).await;
    let (dead, named) = (DeliveryState::Dead, |name: &str| name.to_owned());
    let rest = [(named("c"), first, DeliveryState::Pending), (named("stranger"), elsewhere, dead)];
    let expected = [(named("a"), first, DeliveryState::Acknowledged), (named("b"), imported, dead)];
    assert_eq!(told(&store, "m1").await, [&expected[..], &rest].concat());
    let whole = trace(&store, "m1").await.expect("a trace");
    assert_eq!(
        (whole.received_at, whole.deliveries[1].settled_at),
        (record.received_at, Some(t(5))),
        "as it was recorded"
    );
    assert_eq!(whole.deliveries[1].reason, Some(DeadLetterReason::Unacknowledged));
    let redriven = sequence_of(commit_one(&store, redrive("b", imported)).await);
    assert_eq!(told(&store, "m1").await[1], (named("b"), redriven, DeliveryState::Pending));
}

/// C6: where no record is known, the imports have a trace.
pub async fn an_import_alone_has_a_trace<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    assert_eq!(trace(&store, "m1").await, None);
    let record = Record { received_at: t(40), ..message("m1", &[]) };
    let given = sequences(&store, vec![import("b", record.clone()), import("a", record.clone())]).await;
    let store = sandbox.reopen(store).await;
    let whole = trace(&store, "m1").await.expect("a trace");
    assert_eq!((whole.message_type, whole.key, whole.received_at), (record.message_type, record.key, t(40)));
    assert_eq!((&whole.received_from, &whole.path[..]), (&record.route.received_from, &record.route.path[..]));
    let dead = DeliveryState::Dead;
    assert_eq!(told(&store, "m1").await, [("a".to_owned(), given[1], dead), ("b".to_owned(), given[0], dead)]);
}

/// C9: no horizon takes an imported dead letter away, nor that it is one and is traced.
pub async fn an_import_outlives_its_horizon<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    let sequence = sequence_of(commit_one(&store, import("a", message("m1", &[]))).await);
    remember_all(&store, &["a"]).await;
    for second in 100..110 {
        let sequence =
            recorded(&store, Record { received_at: t(second), ..message(&format!("m{second}"), &["a"]) }).await;
        commit(&store, vec![acknowledge("a", sequence)]).await;
    }
    let far = t(10_000);
    let horizon = Horizon { now: far, expiries: far, identities: far, stamps: far, traces: far, ..Horizon::NOTHING };
    purge_all(&store, horizon, 1_000).await;
    let store = sandbox.reopen(store).await;
    assert_eq!(told(&store, "m1").await, [("a".to_owned(), sequence, DeliveryState::Dead)]);
    assert_eq!(commit_one(&store, import("a", message("m1", &[]))).await, Outcome::Unchanged);
    assert_eq!(store.check(Depth::Full).await.expect("a check"), []);
}
