//! What a store does for the relay: the live flow, taking messages in for peers that are away, and reading a backlog.
//!
//! Values of 256 bytes, which are about 550 as they go out, with full durability, for 1, 10 and 50 recipients. An
//! element of the throughput is a message. The folder is on the disk that `SLIPSTREAM_BENCH_DIR` names, by default that
//! of the build; on a memory file system the syncs cost nothing and the figures mean little.
//! `cargo bench -p slipstream-benches --bench ledger`.
#![allow(missing_docs, reason = "criterion's macros make public items")]
#![expect(clippy::expect_used, reason = "a bench is read and run, and ends where it cannot go on")]

use std::collections::VecDeque;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use slipstream_embedded::StoreOptions;
use slipstream_sqlite::SqliteStore;
use slipstream_store::{
    ClusterGroup, Fingerprint, Horizon, Identity, Key, MessageId, MessageStore, MessageType, Operation, Outcome,
    PageLimit, Peer, PeerId, PeerKind, Record, Route, Sequence, Timestamp,
};
use tokio::runtime::Runtime;
use ulid::Ulid;

/// The outgoing text of a message with a value of 256 bytes.
const TEXT: usize = 550;
const FAN_OUTS: [usize; 3] = [1, 10, 50];
/// How many messages a batch of the live flow records. It settles as many, so that at fan-out 1 these are batches of
/// 64, 256 and 2,048 operations.
const LIVE_BATCHES: [usize; 3] = [32, 128, 1024];
/// How many messages a batch records when nobody is there to settle any: the relay's largest batch.
const FULL_BATCH: usize = 2048;
/// How many batches lie between a message and its acknowledgement.
const LAG: usize = 2;
/// How many messages go by between two purges; the relay's janitor runs once a second or so.
const MESSAGES_A_PURGE: u64 = 65_536;
/// Messages of the backlog that is read.
const BACKLOG: usize = 100_000;
/// How many identities are remembered, in the place of a window in time.
const IDENTITIES: u64 = 1_000_000;
/// How much journal is kept.
const TRACE_BYTES: u64 = 256 << 20;

/// A store with peers, and the messages that are made for it.
struct Bench {
    runtime: Runtime,
    store: SqliteStore,
    route: Arc<Route>,
    text: Bytes,
    made: u64,
    purged_at: u64,
    /// What each batch recorded and nobody has settled, the oldest first.
    owed: VecDeque<Vec<Sequence>>,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new(recipients: usize) -> Self {
        let folder = std::env::var_os("SLIPSTREAM_BENCH_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
        let folder = tempfile::tempdir_in(folder).expect("a folder for the store");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let store = slipstream_sqlite::open(&StoreOptions::new(folder.path().join("store"))).expect("a store");
        let peers: Vec<PeerId> = (0..recipients).map(|n| PeerId::new(format!("peer-{n:03}")).expect("an id")).collect();
        let remember = peers.iter().map(|id| {
            Operation::RememberPeer(Box::new(Peer {
                id: id.clone(),
                kind: PeerKind::Application,
                group: ClusterGroup::singleton(),
                tags: Arc::from([]),
                durable: true,
                last_seen: Timestamp::from_millis(1),
                alias: None,
            }))
        });
        let remember = Arc::new(remember.collect::<Vec<_>>().into());
        runtime.block_on(store.commit(remember)).expect("the peers are remembered");
        let sender = PeerId::new("sender").expect("an id");
        let relay = PeerId::new("relay-here").expect("an id");
        let route = Arc::new(Route {
            received_from: sender.clone(),
            path: Box::new([sender, relay]),
            recipients: peers.into_boxed_slice(),
        });
        let text = Bytes::from(vec![b'x'; TEXT]);
        Self { runtime, store, route, text, made: 0, purged_at: 0, owed: VecDeque::new(), _folder: folder }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + self.made / 100)
    }

    fn records(&mut self, messages: usize) -> Vec<Operation> {
        let records = (0..messages).map(|_| {
            self.made += 1;
            let received_at = self.now();
            Operation::Record(Box::new(Record {
                identity: Identity {
                    group: ClusterGroup::singleton(),
                    id: MessageId::from(Ulid::from_parts(received_at.as_millis(), u128::from(self.made))),
                },
                fingerprint: Fingerprint::from_u64(self.made),
                message_type: MessageType::new("SK").expect("a type"),
                key: Some(Key::new(format!("order:{}", self.made)).expect("a key")),
                expires_at: None,
                received_at,
                stamp: None,
                route: Arc::clone(&self.route),
                text: self.text.clone(),
            }))
        });
        records.collect()
    }

    /// Acknowledges what the oldest batch recorded, message by message, as the peers of a relay do.
    fn acknowledgements(&mut self) -> Vec<Operation> {
        let (at, recipients) = (self.now(), &self.route.recipients);
        let owed = self.owed.pop_front().unwrap_or_default().into_iter();
        let each = owed.flat_map(|sequence| {
            recipients.iter().map(move |peer| Operation::Acknowledge { peer: peer.clone(), sequence, at })
        });
        each.collect()
    }

    /// Commits, and answers how long that took.
    fn commit(&mut self, operations: Vec<Operation>) -> Duration {
        let batch = Arc::new(operations.into());
        let start = Instant::now();
        let outcomes = self.runtime.block_on(self.store.commit(batch)).expect("the batch commits");
        let took = start.elapsed();
        let recorded = outcomes.iter().filter_map(|outcome| match outcome {
            Outcome::Recorded { sequence } => Some(*sequence),
            _ => None,
        });
        self.owed.push_back(recorded.collect());
        took
    }

    /// Purges where it is time to, and answers how long that took.
    fn purge(&mut self) -> Duration {
        if self.made - self.purged_at < MESSAGES_A_PURGE {
            return Duration::ZERO;
        }
        self.purged_at = self.made;
        let horizon =
            Horizon { now: self.now(), max_identities: IDENTITIES, max_trace_bytes: TRACE_BYTES, ..Horizon::NOTHING };
        let budget = NonZeroU32::new(16_384).expect("not zero");
        let start = Instant::now();
        while self.runtime.block_on(self.store.purge(horizon, budget)).expect("the purge runs").more {}
        start.elapsed()
    }

    /// Takes a full batch in, and settles it after the clock has stopped.
    fn record(&mut self) -> Duration {
        let records = self.records(FULL_BATCH);
        let took = self.commit(records);
        let acknowledgements = self.acknowledgements();
        self.commit(acknowledgements);
        self.owed.clear();
        self.purge();
        took
    }

    /// Settles an earlier batch and takes one in, in one commit, as the relay does; purges now and then.
    fn turn_over(&mut self, messages: usize) -> Duration {
        let mut operations = if self.owed.len() < LAG { Vec::new() } else { self.acknowledgements() };
        operations.extend(self.records(messages));
        self.commit(operations) + self.purge()
    }

    /// Reads the backlog of one peer from end to end.
    fn catch_up(&self) -> usize {
        let limit = PageLimit {
            items: NonZeroU32::new(512).expect("not zero"),
            bytes: NonZeroUsize::new(1 << 20).expect("not zero"),
        };
        let (mut after, mut read) = (None, 0);
        loop {
            let page = self.store.pending(&self.route.recipients[0], after, limit);
            let page = self.runtime.block_on(page).expect("the page is read");
            read += page.items.len();
            after = page.items.last().map(|item| item.sequence);
            if !page.more {
                return read;
            }
        }
    }
}

fn ledger(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sqlite");
    group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    for fan_out in FAN_OUTS {
        for messages in LIVE_BATCHES {
            let mut bench = Bench::new(fan_out);
            group.throughput(Throughput::Elements(messages as u64));
            group.bench_function(BenchmarkId::new(format!("live_{messages}"), fan_out), |bencher| {
                bencher.iter_custom(|times| (0..times).map(|_| bench.turn_over(messages)).sum());
            });
        }
        let mut bench = Bench::new(fan_out);
        group.throughput(Throughput::Elements(FULL_BATCH as u64));
        group.bench_function(BenchmarkId::new(format!("record_{FULL_BATCH}"), fan_out), |bencher| {
            bencher.iter_custom(|times| (0..times).map(|_| bench.record()).sum());
        });
    }
    for fan_out in FAN_OUTS {
        let mut bench = Bench::new(fan_out);
        let batches = BACKLOG.div_ceil(FULL_BATCH);
        for _ in 0..batches {
            let records = bench.records(FULL_BATCH);
            bench.commit(records);
        }
        let backlog = batches * FULL_BATCH;
        group.throughput(Throughput::Elements(backlog as u64));
        group.bench_function(BenchmarkId::new("catch_up", fan_out), |bencher| {
            bencher.iter(|| assert_eq!(bench.catch_up(), backlog));
        });
    }
    group.finish();
}

criterion_group!(benches, ledger);
criterion_main!(benches);
