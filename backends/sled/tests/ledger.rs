//! What the conformance suite does not look at: how large the files grow, long values, a large store, and views that
//! commits leave behind.
#![expect(clippy::unwrap_used, reason = "a test says what it finds by panicking")]

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use slipstream_embedded::StoreOptions;
use slipstream_sled::SledStore;
use slipstream_store::{
    ClusterGroup, Depth, Fingerprint, Horizon, Identity, MessageId, MessageStore, MessageType, Operation, Outcome,
    PageLimit, Peer, PeerId, PeerKind, Pending, Record, Route, Sequence, Timestamp,
};

fn peer(name: &str) -> PeerId {
    PeerId::new(name).unwrap()
}

fn t(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn remember(name: &str) -> Operation {
    Operation::RememberPeer(Box::new(Peer {
        id: peer(name),
        kind: PeerKind::Application,
        group: ClusterGroup::singleton(),
        tags: Arc::from([]),
        durable: true,
        last_seen: t(1),
        alias: None,
    }))
}

fn route(recipient: &str) -> Arc<Route> {
    let recipients = [peer(recipient)].into_iter().collect();
    Arc::new(Route { received_from: peer("sender"), path: Box::new([peer("sender"), peer("here")]), recipients })
}

fn record(name: &str, route: &Arc<Route>, text: impl Into<Bytes>) -> Operation {
    Operation::Record(Box::new(Record {
        identity: Identity { group: ClusterGroup::singleton(), id: MessageId::new(name).unwrap() },
        fingerprint: Fingerprint::from_u64(1),
        message_type: MessageType::new("SK").unwrap(),
        key: None,
        expires_at: None,
        received_at: t(10),
        stamp: None,
        route: Arc::clone(route),
        text: text.into(),
    }))
}

fn acknowledge(sequence: Sequence) -> Operation {
    Operation::Acknowledge { peer: peer("a"), sequence, at: t(10) }
}

fn open(path: &Path) -> SledStore {
    slipstream_sled::open(&StoreOptions::new(path)).unwrap()
}

async fn commit(store: &SledStore, operations: Vec<Operation>) -> Vec<Sequence> {
    let outcomes = store.commit(Arc::new(operations.into())).await.unwrap();
    let sequences = outcomes.into_iter().filter_map(|outcome| match outcome {
        Outcome::Recorded { sequence } | Outcome::Redriven { sequence } => Some(sequence),
        _ => None,
    });
    sequences.collect()
}

/// A purge that keeps 10,000 identities.
async fn purge(store: &SledStore) {
    let horizon = Horizon { now: t(10), max_identities: 10_000, max_trace_bytes: 1 << 20, ..Horizon::NOTHING };
    while store.purge(horizon, NonZeroU32::new(1000).unwrap()).await.unwrap().more {}
}

async fn page(store: &SledStore, after: Option<Sequence>, items: u32) -> Vec<Pending> {
    let limit = PageLimit { items: NonZeroU32::new(items).unwrap(), bytes: NonZeroUsize::new(64 << 20).unwrap() };
    store.pending(&peer("a"), after, limit).await.unwrap().items
}

/// How many files sled has beside its log, where it would put a page that does not fit: it never syncs them.
fn blobs(path: &Path) -> usize {
    std::fs::read_dir(path.join("slipstream.sled/blobs")).unwrap().count()
}

#[tokio::test]
async fn long_values_never_leave_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    commit(&store, vec![remember("a")]).await;
    let route = route("a");
    let text = |n: usize| -> Vec<u8> { (0..n).map(|at| u8::try_from((at * 7 + n) % 251).unwrap()).collect() };
    // Each length about a piece's, the longest message of the default settings and one far longer; then many that
    // fill a page with rows as long as they get.
    let lengths = [0, 8191, 8192, 8193, 16_384, (1 << 20) + (64 << 10), 24 << 20];
    let lengths: Vec<usize> = lengths.into_iter().chain((0..400).map(|n| 8000 + n % 192)).collect();
    let mut owed = Vec::new();
    for (at, chunk) in lengths.chunks(50).enumerate() {
        let records = chunk.iter().enumerate().map(|(n, length)| record(&format!("m-{at}-{n}"), &route, text(*length)));
        owed.extend(commit(&store, records.collect()).await);
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
    let dead = owed.iter().map(|sequence| Operation::DeadLetter {
        peer: peer("a"),
        sequence: *sequence,
        reason: "rejected".to_owned(),
        attempts: 1,
        at: t(10),
    });
    commit(&store, dead.collect()).await;
    commit(&store, owed.iter().map(|sequence| Operation::Discard { peer: peer("a"), sequence: *sequence }).collect())
        .await;
    purge(&store).await;
    assert_eq!(store.check(Depth::Full).await.unwrap(), [], "no piece stays behind");
    assert_eq!((store.stats().await.unwrap().messages, blobs(folder.path())), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_of_one_commit_while_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&folder.path().join("store")));
    commit(&store, vec![remember("a")]).await;
    let (route, done) = (route("a"), Arc::new(AtomicBool::new(false)));
    let committing = tokio::spawn({
        let (store, done) = (Arc::clone(&store), Arc::clone(&done));
        async move {
            let (mut owed, mut batch) = (Vec::new(), 0);
            while !done.load(Ordering::Acquire) {
                // What one commit records the next one settles: always 1,000 are pending.
                let mut operations: Vec<_> = owed.drain(..).map(acknowledge).collect();
                operations.extend((0..1000).map(|n| record(&format!("m-{batch}-{n}"), &route, vec![b'x'; 9000])));
                (owed, batch) = (commit(&store, operations).await, batch + 1);
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
