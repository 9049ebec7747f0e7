//! What the conformance suite does not look at: how large the files grow, long values, a large store, and views that
//! commits leave behind.
#![expect(clippy::unwrap_used, reason = "a test says what it finds by panicking")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use slipstream_conformance::fixture::{
    acknowledge, commit, discard, give_up, limit, peer, plain, purge_all, put, remember_all, sequences, t,
};
use slipstream_embedded::StoreOptions;
use slipstream_sled::SledStore;
use slipstream_store::{Depth, Horizon, MessageStore, Operation, Pending, Record, Sequence};

/// A message to `a`.
fn record(name: &str, text: Vec<u8>) -> Operation {
    put(Record { text: text.into(), ..plain(name, &["a"]) })
}

fn open(path: &Path) -> SledStore {
    slipstream_sled::open(&StoreOptions::new(path)).unwrap()
}

async fn page(store: &SledStore, after: Option<Sequence>, items: u32) -> Vec<Pending> {
    store.pending(&peer("a"), after, limit(items, 64 << 20)).await.unwrap().items
}

/// How many files sled has beside its log, where it would put a page that does not fit: it never syncs them.
fn blobs(path: &Path) -> usize {
    std::fs::read_dir(path.join("slipstream.sled/blobs")).unwrap().count()
}

#[tokio::test]
async fn long_values_never_leave_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    remember_all(&store, &["a"]).await;
    let text = |n: usize| -> Vec<u8> { (0..n).map(|at| u8::try_from((at * 7 + n) % 251).unwrap()).collect() };
    // Each length about a piece's, the longest message of the default settings and one far longer; then many that
    // fill a page with rows as long as they get.
    let lengths = [0, 8191, 8192, 8193, 16_384, (1 << 20) + (64 << 10), 24 << 20];
    let lengths: Vec<usize> = lengths.into_iter().chain((0..400).map(|n| 8000 + n % 192)).collect();
    let mut owed = Vec::new();
    for (at, chunk) in lengths.chunks(50).enumerate() {
        let records = chunk.iter().enumerate().map(|(n, length)| record(&format!("m-{at}-{n}"), text(*length)));
        owed.extend(sequences(&store, records.collect()).await);
        assert_eq!(blobs(folder.path()), 0);
    }
    for _ in 0..2 {
        for (sequence, length) in owed.iter().zip(&lengths) {
            let found = page(&store, Sequence::new(sequence.get() - 1), 1).await;
            assert!(found[0].sequence == *sequence && found[0].text == text(*length), "{length} bytes");
        }
        assert_eq!(store.check(Depth::Full).await.unwrap(), []);
        store.close().await.unwrap();
        store = open(folder.path());
    }
    commit(&store, owed.iter().map(|sequence| give_up("a", *sequence)).collect()).await;
    commit(&store, owed.iter().map(|sequence| discard("a", *sequence)).collect()).await;
    let horizon = Horizon { now: t(10), max_identities: 10_000, max_trace_bytes: 1 << 20, ..Horizon::NOTHING };
    purge_all(&store, horizon, 1000).await;
    assert_eq!(store.check(Depth::Full).await.unwrap(), [], "no piece stays behind");
    assert_eq!((store.stats().await.unwrap().messages, blobs(folder.path())), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_of_one_commit_while_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&folder.path().join("store")));
    remember_all(&*store, &["a"]).await;
    let done = Arc::new(AtomicBool::new(false));
    let committing = tokio::spawn({
        let (store, done) = (Arc::clone(&store), Arc::clone(&done));
        async move {
            let (mut owed, mut batch) = (Vec::new(), 0);
            while !done.load(Ordering::Acquire) {
                // What one commit records the next one settles: always 1,000 are pending.
                let mut operations: Vec<_> = owed.drain(..).map(|sequence| acknowledge("a", sequence)).collect();
                operations.extend((0..1000).map(|n| record(&format!("m-{batch}-{n}"), vec![b'x'; 9000])));
                (owed, batch) = (sequences(&*store, operations).await, batch + 1);
            }
        }
    });
    while store.stats().await.unwrap().pending == 0 {}
    for round in 0..5 {
        let target = folder.path().join(format!("copy-{round}"));
        store.backup(&target).await.unwrap();
        let copy = open(&target);
        assert_eq!((copy.stats().await.unwrap().pending, page(&copy, None, 2000).await.len()), (1000, 1000));
        assert_eq!(copy.check(Depth::Full).await.unwrap(), []);
    }
    done.store(true, Ordering::Release);
    committing.await.unwrap();
}
