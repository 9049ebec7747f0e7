//! Deliveries that were given up.

use slipstream_store::{
    DeadLetter, DeadLetterCursor, DeadLetterFilter, DeadLetterReason, MessageId, MessageStore, Operation, Outcome,
    PageLimit, Record, Sequence,
};

use crate::fixture::*;
use crate::harness::{Harness, Sandbox};

/// C6: every field of a dead letter is read back, also after reopening.
pub async fn a_dead_letter_keeps_the_whole_message<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let record = message("m1", &["a"]);
    let sequence = recorded(&store, record.clone()).await;
    commit(&store, vec![attempt("a", sequence, 2), give_up_for("a", sequence, "rejected: zu groß")]).await;
    let expected = DeadLetter {
        sequence,
        peer: peer("a"),
        identity: record.identity,
        message_type: record.message_type,
        key: record.key,
        reason: DeadLetterReason::rejected("zu groß"),
        attempts: 4,
        dead_at: t(23),
        text: record.text,
    };
    let kept = all_dead(&store).await;
    assert_eq!(kept, [expected]);
    let store = sandbox.reopen(store).await;
    assert_eq!(all_dead(&store).await, kept);
    assert_eq!(store.stats().await.expect("stats").dead_letters, 1);
}

async fn page<S: MessageStore>(
    store: &S,
    after: Option<DeadLetterCursor>,
    limit: PageLimit,
) -> (Vec<DeadLetterCursor>, bool) {
    let page = store.dead_letters(&DeadLetterFilter::default(), after, limit).await.expect("the page is read");
    let cursors = page.items.into_iter().map(|item| DeadLetterCursor { sequence: item.sequence, peer: item.peer });
    (cursors.collect(), page.more)
}

/// C6: dead letters come by sequence and then by peer id; a cursor falls between two of one sequence.
pub async fn pages_go_by_sequence_and_peer<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    // Remembered in an order that is not that of their ids.
    let names = ["b", "A", "c", "a", "b2"];
    remember_all(&store, &names).await;
    let first = recorded(&store, message("m1", &names)).await;
    let second = recorded(&store, message("m2", &names)).await;
    for name in ["c", "b", "a"] {
        commit(&store, vec![give_up(name, second)]).await;
    }
    commit(&store, names.iter().map(|name| give_up(name, first)).collect()).await;
    let at = |sequence, name| DeadLetterCursor { sequence, peer: peer(name) };
    let expected: Vec<_> = [(first, "A"), (first, "a"), (first, "b"), (first, "b2"), (first, "c")]
        .into_iter()
        .chain([(second, "a"), (second, "b"), (second, "c")])
        .map(|(sequence, name)| at(sequence, name))
        .collect();
    let store = sandbox.reopen(store).await;
    for most in 1..=9_usize {
        let read = page(&store, None, items(u32::try_from(most).expect("small"))).await;
        assert_eq!(read, (expected[..most.min(8)].to_vec(), most < 8), "at most {most}");
    }
    for (n, cursor) in expected.iter().enumerate() {
        let read = page(&store, Some(cursor.clone()), items(100)).await;
        assert_eq!(read, (expected[n + 1..].to_vec(), false), "after {cursor:?}");
    }
    let between = page(&store, Some(at(first, "a9")), items(2)).await;
    assert_eq!(between, (expected[2..4].to_vec(), true), "a cursor need not name a dead letter");
}

/// C6: bytes bound a page of dead letters; one oversized item still comes.
pub async fn bytes_bound_a_page<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    for (n, size) in [100, 100, 900].into_iter().enumerate() {
        let text = bytes::Bytes::from(vec![b'x'; size]);
        let sequence = recorded(&store, Record { text, ..message(&format!("m{n}"), &["a"]) }).await;
        commit(&store, vec![give_up("a", sequence)]).await;
    }
    for (bytes, expected) in [(1, 1), (199, 1), (200, 2), (1099, 2), (1100, 3)] {
        let (read, more) = page(&store, None, limit(10, bytes)).await;
        assert_eq!((read.len(), more), (expected, expected < 3), "at most {bytes} bytes");
    }
}

/// C6: a filter means those that fit each field that is set, and `more` counts only those. Each reason is read back, also
/// one that this build does not know.
pub async fn filters_choose_dead_letters<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a", "b"]).await;
    let reasons = ["unacknowledged", "rejected: no", "rejected: never: no", "rejected", "another: build's"];
    for (n, reason) in reasons.into_iter().enumerate() {
        let sequence = recorded(&store, message(&format!("m{n}"), &["a", "b"])).await;
        commit(&store, vec![give_up_for("a", sequence, reason), give_up_for("b", sequence, reason)]).await;
    }
    let store = sandbox.reopen(store).await;
    let of = |peer_name: Option<&str>, reason: Option<&str>, message_id: Option<&str>| DeadLetterFilter {
        peer: peer_name.map(peer),
        reason: reason.map(DeadLetterReason::from),
        message_id: message_id.map(|text| MessageId::new(text).expect("a message id")),
    };
    let expectations = [
        (of(None, None, None), 10),
        (of(Some("a"), None, None), 5),
        (of(Some("nobody"), None, None), 0),
        (of(None, Some("rejected"), None), 6),
        (of(None, Some("rejected: no"), None), 2),
        (of(None, Some("reject"), None), 0),
        (of(None, Some("rejected: never"), None), 0),
        (of(None, Some("another"), None), 2),
        (of(None, None, Some("m2")), 2),
        (of(Some("b"), Some("rejected"), Some("m1")), 1),
        (of(Some("b"), Some("rejected"), Some("m0")), 0),
    ];
    for (filter, expected) in expectations {
        let found = dead(&store, &filter).await;
        assert_eq!(found.len(), expected, "{filter:?}");
        assert!(found.iter().all(|item| filter.matches(&item.peer, &item.reason, &item.identity.id)));
    }
    let kept = dead(&store, &of(Some("a"), None, None)).await;
    assert_eq!(kept.iter().map(|item| item.reason.to_string()).collect::<Vec<_>>(), reasons);
    let filter = of(Some("a"), Some("rejected"), None);
    let page = store.dead_letters(&filter, None, items(2)).await.expect("the page is read");
    assert_eq!((page.items.len(), page.more), (2, true));
    let last = &page.items[1];
    let after = DeadLetterCursor { sequence: last.sequence, peer: last.peer.clone() };
    let page = store.dead_letters(&filter, Some(after), items(1)).await.expect("the page is read");
    assert_eq!((page.items.len(), page.more), (1, false));
}

/// C3: a discarded dead letter is gone, for one peer alone and for good.
pub async fn discard_removes_one<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a", "b"]).await;
    let sequence = recorded(&store, message("m1", &["a", "b"])).await;
    commit(&store, vec![give_up("a", sequence), give_up("b", sequence)]).await;
    assert_eq!(commit_one(&store, discard("a", sequence)).await, Outcome::Applied);
    assert_eq!(commit_one(&store, discard("a", sequence)).await, Outcome::Unchanged);
    assert_eq!(commit_one(&store, redrive("a", sequence)).await, Outcome::Unchanged);
    let store = sandbox.reopen(store).await;
    let left = all_dead(&store).await;
    assert_eq!(left.iter().map(|item| &item.peer).collect::<Vec<_>>(), [&peer("b")]);
    assert_eq!(store.stats().await.expect("stats").dead_letters, 1);
}

fn count(name: &str, reason: &'static str, count: u64) -> (String, &'static str, u64) {
    (name.to_owned(), reason, count)
}

/// Six messages for three peers: `a` gives up five of them for reasons of four classes, `b` the same five, `A` the first.
async fn given_up_for_many_reasons(store: &impl MessageStore) -> Vec<Sequence> {
    let names = ["b", "A", "a"];
    remember_all(store, &names).await;
    let mut given = Vec::new();
    for n in 0..6 {
        given.push(recorded(store, message(&format!("m{n}"), &names)).await);
    }
    for (n, reason) in ["rejected: no", "rejected: never", "backlog", "another: build's", "poison"].iter().enumerate() {
        commit(store, vec![give_up_for("a", given[n], *reason), give_up_for("b", given[n], "too_large")]).await;
    }
    commit(store, vec![give_up("A", given[0]), give_up("a", given[0]), acknowledge("a", given[5])]).await;
    given
}

/// C6, C3: dead letters are counted by peer and by the class of their reason, whatever becomes of them, also after
/// reopening; what changes nothing counts nothing.
pub async fn counts_follow_every_dead_letter<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    assert_eq!(counted(&store).await, []);
    let given = given_up_for_many_reasons(&store).await;
    let others = [count("a", "backlog", 1), count("a", "other", 1), count("a", "poison", 1)];
    let expected = [&[count("A", "unacknowledged", 1)], &others[..], &[count("a", "rejected", 2)]].concat();
    assert_eq!(counted(&store).await, [&expected[..], &[count("b", "too_large", 5)]].concat());

    let again = redriven(&store, "b", given[0]).await;
    let settled = vec![acknowledge("b", given[1]), discard("b", given[2]), discard("b", given[2])];
    commit(&store, settled).await;
    commit(&store, vec![give_up_for("b", again, "rejected: later"), discard("A", given[0])]).await;
    let in_one = vec![redrive("b", given[3]), discard("a", given[3]), discard("a", given[0])];
    let sequence = sequences(&store, in_one).await[0];
    commit(&store, vec![give_up("b", sequence), acknowledge("b", sequence)]).await;
    let store = sandbox.reopen(store).await;
    let expected = [
        count("a", "backlog", 1),
        count("a", "poison", 1),
        count("a", "rejected", 1),
        count("b", "rejected", 1),
        count("b", "too_large", 1),
    ];
    assert_eq!(counted(&store).await, expected);
    commit(&store, vec![forget("b", t(30))]).await;
    purge_all(&store, everything(), 10).await;
    assert_eq!(counted(&store).await, expected, "dead letters outlive their peer");
    assert_eq!(store.stats().await.expect("stats").dead_letters, 5);
}

/// C6: each count tells when the newest died, while that is there.
pub async fn the_newest_of_each_count_is_told<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let mut given = Vec::new();
    for (n, (at, reason)) in [(50, "backlog"), (70, "rejected: no"), (60, "rejected")].into_iter().enumerate() {
        let sequence = recorded(&store, message(&format!("m{n}"), &["a"])).await;
        let reason = DeadLetterReason::from(reason);
        let operation = Operation::DeadLetter { peer: peer("a"), sequence, reason, attempts: 1, at: t(at) };
        commit(&store, vec![operation]).await;
        given.push(sequence);
    }
    let newest = async |store: &H::Store| {
        let counts = store.dead_letter_counts().await.expect("the counts are read").into_iter();
        counts.map(|entry| (entry.reason, entry.newest)).collect::<Vec<_>>()
    };
    assert_eq!(newest(&store).await, [("backlog", t(50)), ("rejected", t(70))]);
    commit(&store, vec![discard("a", given[2])]).await;
    let store = sandbox.reopen(store).await;
    assert_eq!(newest(&store).await, [("backlog", t(50)), ("rejected", t(70))]);
    commit(&store, vec![discard("a", given[1])]).await;
    assert_eq!(newest(&store).await, [("backlog", t(50))]);
    let sequence = recorded(&store, message("m3", &["a"])).await;
    commit(&store, vec![give_up_for("a", sequence, "rejected")]).await;
    assert_eq!(newest(&store).await, [("backlog", t(50)), ("rejected", t(23))], "what is gone is forgotten");
}

/// C9, C12: no purge takes a dead letter, and forgetting its peer does not either.
pub async fn dead_letters_stay_until_a_person_decides<H: Harness>(sandbox: Sandbox<H>) {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let record = Record { expires_at: Some(t(30)), ..message("m1", &["a"]) };
    let sequence = recorded(&store, record).await;
    commit(&store, vec![give_up("a", sequence)]).await;
    let before = all_dead(&store).await;
    commit(&store, vec![forget("a", t(30))]).await;
    let purged = purge_all(&store, everything(), 10).await;
    assert_eq!(purged.expired, []);
    let store = sandbox.reopen(store).await;
    assert_eq!(all_dead(&store).await, before);
    let delivery = traced(&store, "m1").await;
    assert_eq!((delivery.attempts, delivery.reason), (4, Some(DeadLetterReason::Unacknowledged)));
    assert_eq!(commit_one(&store, discard("a", sequence)).await, Outcome::Applied);
}
