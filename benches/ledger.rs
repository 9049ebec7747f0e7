//! What a store does for the relay: taking messages in, settling them, and reading a backlog back.
//!
//! Batches of 256 messages of 256 bytes, with full durability, for 1, 10 and 50 recipients. The folder is on the disk
//! that `SLIPSTREAM_BENCH_DIR` names, by default that of the build; on a memory file system the syncs cost nothing and
//! the figures mean little. `cargo bench -p slipstream-benches --bench ledger`.
#![allow(missing_docs, reason = "criterion's macros make public items")]
#![expect(clippy::expect_used, reason = "a bench is read and run, and ends where it cannot go on")]

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use slipstream_sqlite::{SqliteOptions, SqliteStore};
use slipstream_store::{
    ClusterGroup, Fingerprint, Horizon, Identity, Key, MessageId, MessageStore, MessageType, Operation, Outcome,
    PageLimit, Peer, PeerId, PeerKind, Record, Route, Sequence, Timestamp,
};
use tokio::runtime::Runtime;
use ulid::Ulid;

const BATCH: usize = 256;
const PAYLOAD: usize = 256;
const FAN_OUTS: [usize; 3] = [1, 10, 50];
/// How many batches go by between two purges; the relay's janitor runs once a second or so.
const BATCHES_A_PURGE: u64 = 32;
/// Messages of the backlog that is read.
const BACKLOG: usize = 100_000;
/// How many identities are remembered, in the place of a window in time.
const IDENTITIES: u64 = 100_000;
/// How much journal is kept.
const TRACE_BYTES: u64 = 16 << 20;

/// A store with peers, and the messages that are made for it.
struct Bench {
    runtime: Runtime,
    store: SqliteStore,
    route: Arc<Route>,
    text: Bytes,
    made: u64,
    batches: u64,
    owed: Vec<Sequence>,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new(recipients: usize) -> Self {
        let folder = std::env::var_os("SLIPSTREAM_BENCH_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
        let folder = tempfile::tempdir_in(folder).expect("a folder for the store");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let store = slipstream_sqlite::open(&SqliteOptions::new(folder.path().join("store"))).expect("a store");
        let peers: Vec<PeerId> = (0..recipients).map(|n| PeerId::new(format!("peer-{n:03}")).expect("an id")).collect();
        let remember = peers.iter().map(|id| {
            Operation::RememberPeer(Peer {
                id: id.clone(),
                kind: PeerKind::Application,
                group: ClusterGroup::singleton(),
                tags: Arc::from([]),
                durable: true,
                last_seen: Timestamp::from_millis(1),
                alias: None,
            })
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
        let text = Bytes::from(vec![b'x'; PAYLOAD]);
        Self { runtime, store, route, text, made: 0, batches: 0, owed: Vec::new(), _folder: folder }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + self.made / 100)
    }

    fn records(&mut self) -> Vec<Operation> {
        let records = (0..BATCH).map(|_| {
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

    /// Acknowledges everything that is owed, message by message, as the peers of a relay do.
    fn acknowledgements(&mut self) -> Vec<Operation> {
        let at = self.now();
        let (owed, route) = (std::mem::take(&mut self.owed), Arc::clone(&self.route));
        let each = owed.into_iter().flat_map(|sequence| {
            let route = Arc::clone(&route);
            (0..route.recipients.len()).map(move |n| Operation::Acknowledge {
                peer: route.recipients[n].clone(),
                sequence,
                at,
            })
        });
        each.collect()
    }

    /// Commits, and answers how long that took.
    fn commit(&mut self, operations: Vec<Operation>) -> Duration {
        let batch = Arc::new(operations.into());
        let start = Instant::now();
        let outcomes = self.runtime.block_on(self.store.commit(batch)).expect("the batch commits");
        let took = start.elapsed();
        self.owed.extend(outcomes.iter().filter_map(|outcome| match outcome {
            Outcome::Recorded { sequence } => Some(*sequence),
            _ => None,
        }));
        took
    }

    /// Purges where it is time to, and answers how long that took.
    fn purge(&mut self) -> Duration {
        self.batches += 1;
        if !self.batches.is_multiple_of(BATCHES_A_PURGE) {
            return Duration::ZERO;
        }
        let horizon =
            Horizon { now: self.now(), max_identities: IDENTITIES, max_trace_bytes: TRACE_BYTES, ..Horizon::NOTHING };
        let budget = NonZeroU32::new(8192).expect("not zero");
        let start = Instant::now();
        while self.runtime.block_on(self.store.purge(horizon, budget)).expect("the purge runs").more {}
        start.elapsed()
    }

    /// Takes a batch in and settles it after the clock has stopped.
    fn record(&mut self) -> Duration {
        let records = self.records();
        let took = self.commit(records);
        let acknowledgements = self.acknowledgements();
        self.commit(acknowledgements);
        self.purge();
        took
    }

    /// Settles the batch before and takes one in, in one commit, as the relay does; purges now and then.
    fn turn_over(&mut self) -> Duration {
        let mut operations = self.acknowledgements();
        operations.extend(self.records());
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
    group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(4));
    group.throughput(Throughput::Elements(BATCH as u64));
    for fan_out in FAN_OUTS {
        let mut bench = Bench::new(fan_out);
        group.bench_function(BenchmarkId::new("record", fan_out), |bencher| {
            bencher.iter_custom(|times| (0..times).map(|_| bench.record()).sum());
        });
        let mut bench = Bench::new(fan_out);
        group.bench_function(BenchmarkId::new("record_settle_purge", fan_out), |bencher| {
            bencher.iter_custom(|times| (0..times).map(|_| bench.turn_over()).sum());
        });
    }
    group.throughput(Throughput::Elements(BACKLOG as u64));
    for fan_out in FAN_OUTS {
        let mut bench = Bench::new(fan_out);
        while bench.owed.len() < BACKLOG {
            let records = bench.records();
            bench.commit(records);
        }
        let backlog = bench.owed.len();
        group.throughput(Throughput::Elements(backlog as u64));
        group.bench_function(BenchmarkId::new("catch_up", fan_out), |bencher| {
            bencher.iter(|| assert_eq!(bench.catch_up(), backlog));
        });
    }
    group.finish();
}

criterion_group!(benches, ledger);
criterion_main!(benches);
