//! Stores with much in them, and with what is rarely there.
#![expect(clippy::expect_used, reason = "a test says what it finds by panicking")]

mod stores;

use bytes::Bytes;
use slipstream_conformance::Harness as _;
use slipstream_conformance::fixture::*;
use slipstream_embedded::TableHoldings;
use slipstream_store::{
    Fingerprint, HeldOrigin, Holdings, Horizon, MessageStore, Record, Sequence, Stamp, StoreError, Timestamp,
};
use slipstream_transfer::compare;
use stores::postgres::{holdings, made, made_of as made_in_postgres, options};
use stores::sqlite::{self, Sqlite};

/// Most bytes of texts that a page of a source may have, if it has more than one message.
const PAGE: usize = 4 << 20;

/// Many messages, some of them large, with stamps, of which some are redriven much later.
async fn fill<S: MessageStore>(store: &S) {
    remember_all(store, &["a", "b", "c"]).await;
    let mut late = Vec::new();
    for batch in 0..20_u64 {
        let record = |number: u64| {
            let size = if number.is_multiple_of(1000) { 3 << 20 } else { 50 };
            let text = Bytes::from(vec![b'x'; size]);
            let (stamp, epoch) = (Some(stamp(batch % 3, number * 3)), Some(stamp(batch, 0).epoch));
            let received_at = Timestamp::from_millis(1000 + number);
            put(Record { stamp, epoch, received_at, text, ..message(&format!("m{number}"), &["a", "b"]) })
        };
        let given = sequences(store, (batch * 1000..(batch + 1) * 1000).map(record).collect()).await;
        let mut settling: Vec<_> = given.iter().skip(1).map(|at| acknowledge("a", *at)).collect();
        settling.extend(given.iter().step_by(7).map(|at| give_up("b", *at)));
        settling.extend(given.iter().skip(3).step_by(7).map(|at| attempt("b", *at, 2)));
        commit(store, settling).await;
        late.push(given[7]);
    }
    let again = sequences(store, late.iter().step_by(2).map(|at| redrive("b", *at)).collect()).await;
    commit(store, again.iter().step_by(2).map(|at| acknowledge("b", *at)).collect()).await;
    commit(store, vec![forget("c", t(9))]).await;
}

/// That no page is large, and how many messages there are.
async fn walk(source: &mut dyn Holdings) -> u64 {
    let (mut after, mut count) = (None::<Sequence>, 0);
    loop {
        let page = source.messages(after).await.expect("a page");
        let bytes: usize = page.iter().map(|message| message.text.len()).sum();
        assert!(page.len() == 1 || bytes <= PAGE, "{} messages of {bytes} bytes", page.len());
        let Some(last) = page.last() else { return count };
        (after, count) = (Some(last.sequence), count + page.len() as u64);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn much_is_moved_there_and_back_in_small_pages() {
    made("volume");
    let folder = tempfile::tempdir().expect("a folder");
    let (first, back) = (folder.path().join("first"), folder.path().join("back"));
    let store = Sqlite.open(&first).await.expect("it opens");
    fill(&store).await;
    store.close().await.expect("it closes");
    drop(store);

    let tables = sqlite::tables(&first).await;
    let mut source = TableHoldings::new(&*tables);
    assert_eq!(walk(&mut source).await, 20_000);
    let compared = made_in_postgres(&mut source, "volume").await.expect("it is made");
    assert_eq!((compared.messages, compared.identities, compared.stamps), (20_000, 20_000, 20_000));

    let mut moved = holdings("volume").await.expect("it is free");
    assert_eq!(walk(&mut moved).await, 20_000);
    sqlite::made_of(&mut moved, &back).await.expect("it is made");
    let again = sqlite::tables(&back).await;
    compare(&mut source, &mut TableHoldings::new(&*again), &mut |_| {}).await.expect("it came back as it was");
}

/// What differs is found, whatever it is.
#[tokio::test(flavor = "multi_thread")]
async fn what_differs_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("source");
    let store = Sqlite.open(&place).await.expect("it opens");
    remember_all(&store, &["a", "b"]).await;
    let [one, two] =
        [recorded(&store, message("m1", &["a", "b"])).await, recorded(&store, message("m2", &["a"])).await];
    commit(&store, vec![give_up("a", one)]).await;
    store.close().await.expect("it closes");
    drop(store);
    let tables = sqlite::tables(&place).await;
    let changes = [
        vec![acknowledge("a", two)],
        vec![attempt("b", one, 1)],
        vec![redrive("a", one)],
        vec![discard("a", one)],
        vec![put(message("m3", &[]))],
        vec![put(Record { stamp: Some(stamp(1, 1)), ..message("m2", &[]) })],
        vec![remember("c")],
        vec![slipstream_store::Operation::NameRelay { id: peer("other") }],
        vec![import("a", message("m4", &[]))],
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let target = folder.path().join(number.to_string());
        let mut source = TableHoldings::new(&*tables);
        sqlite::made_of(&mut source, &target).await.expect("it is made");
        // The sequences of the target are others, and follow the marks only if there are any.
        let store = Sqlite.open(&target).await.expect("it opens");
        let outcomes = commit(&store, change.clone()).await;
        assert_ne!(outcomes, [slipstream_store::Outcome::Unchanged], "{change:?}");
        store.close().await.expect("it closes");
        drop(store);
        let changed = sqlite::tables(&target).await;
        let found = compare(&mut source, &mut TableHoldings::new(&*changed), &mut |_| {}).await;
        assert!(matches!(&found, Err(StoreError::Corrupted(text)) if text.contains("differ")), "{change:?}: {found:?}");
    }
}

/// Since when traces are whole is told, and what is known by its identity alone is a repetition still.
#[tokio::test(flavor = "multi_thread")]
async fn what_left_for_its_size_is_told_and_identities_stay() {
    made("sizes");
    made("sizes-again");
    let folder = tempfile::tempdir().expect("a folder");
    let store = slipstream_postgres::PostgresStore::open(options("sizes")).await.expect("it opens");
    remember_all(&store, &["a"]).await;
    for number in 0..4_u64 {
        let record = Record {
            received_at: Timestamp::from_millis(10_000 + number),
            epoch: Some(stamp(1, 0).epoch),
            stamp: Some(Stamp { number: u64::MAX - number, ..stamp(7, 0) }),
            ..message(&format!("m{number}"), if number == 3 { &["a"] } else { &[] })
        };
        recorded(&store, record).await;
    }
    purge_all(&store, Horizon { max_trace_bytes: 0, ..Horizon::NOTHING }, 100).await;
    let whole_since = exchange_of(&store, "a").await.1;
    assert!(whole_since > Timestamp::ZERO, "traces have left");
    assert_eq!((trace(&store, "m1").await, trace(&store, "m3").await.is_some()), (None, true));
    store.close().await.expect("it closes");

    let mut source = holdings("sizes").await.expect("it is free");
    let alone = source.messages(None).await.expect("a page").into_iter().filter(|message| message.header.is_none());
    assert!(
        alone
            .map(|message| message.origin)
            .all(|origin| matches!(origin, HeldOrigin::Recorded { remembered: true, .. }))
    );
    let place = folder.path().join("moved");
    sqlite::made_of(&mut source, &place).await.expect("it is made");
    made_in_postgres(&mut source, "sizes-again").await.expect("it is made");
    let moved = Sqlite.open(&place).await.expect("it opens");
    let again = slipstream_postgres::PostgresStore::open(options("sizes-again")).await.expect("it opens");
    same(&moved, whole_since).await;
    same(&again, whole_since).await;
}

async fn same<S: MessageStore>(store: &S, whole_since: Timestamp) {
    assert!(exchange_of(store, "a").await.1 >= whole_since);
    let other = Fingerprint::from_u64(99);
    for number in 0..4_u64 {
        let asked = message(&format!("m{number}"), &[]);
        assert_eq!(commit_one(store, put(asked.clone())).await, BY_IDENTITY);
        let conflict = commit_one(store, put(Record { fingerprint: other, ..asked })).await;
        assert_eq!(conflict, slipstream_store::Outcome::Conflict);
        let seen = Stamp { number: u64::MAX - number, ..stamp(7, 0) };
        assert_eq!(commit_one(store, put(Record { stamp: Some(seen), ..message("other", &[]) })).await, BY_STAMP);
    }
    assert_eq!(owed(store, "a").await.len(), 1);
}
