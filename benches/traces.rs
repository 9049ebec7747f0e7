//! What it takes to trace a message among millions, in each engine, and what writing them cost.
//!
//! `cargo bench -p slipstream-benches --bench traces -- sqlite lmdb` measures the engines that are named, or all. Each
//! message goes to one peer, in commits of a thousand that acknowledge the thousand before; all stay traceable. To compare two builds,
//! copy this file into the older one, and have both take turns with `SLIPSTREAM_TRACED=1000000 SLIPSTREAM_LOOKUPS=0`.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `SLIPSTREAM_TRACED` | how many messages, by default 10,000,000: about 2 GB of disk |
//! | `SLIPSTREAM_LOOKUPS` | how many messages are traced of each kind, by default 200 |
//! | `SLIPSTREAM_TRACED_BATCH` | messages in a commit, by default 1,000 |
//! | `SLIPSTREAM_BENCH_DIR` | the folder of the stores, by default that of the build |
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench is read and run, and ends where it cannot go on"
)]

use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use slipstream_store::{
    ClusterGroup, DeliveryState, Fingerprint, Horizon, Identity, MessageId, MessageStore, MessageType, Operation,
    Outcome, Peer, PeerId, PeerKind, Record, Result, Route, Sequence, Timestamp,
};
use tokio::runtime::Runtime;
use ulid::Ulid;

/// How a store of an engine is opened.
type Open = fn(&Path) -> Result<Arc<dyn MessageStore>>;

/// The engines by name.
const ENGINES: [(&str, Open); 4] = [
    ("sqlite", |path| Ok(Arc::new(slipstream_sqlite::open(&slipstream_sqlite::StoreOptions::new(path))?))),
    ("redb", |path| Ok(Arc::new(slipstream_redb::open(&slipstream_redb::StoreOptions::new(path))?))),
    ("lmdb", |path| Ok(Arc::new(slipstream_lmdb::open(&slipstream_lmdb::StoreOptions::new(path))?))),
    ("sled", |path| Ok(Arc::new(slipstream_sled::open(&slipstream_sled::StoreOptions::new(path))?))),
];

/// As many where the bench is only tried.
const TRACED_IN_A_TEST: u64 = 5_000;

/// Commits between two purges.
const COMMITS_A_PURGE: u64 = 64;

/// The identities that a relay remembers.
const IDENTITIES: u64 = 1_000_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_test = !arguments.iter().any(|argument| argument == "--bench");
    let traced = number("SLIPSTREAM_TRACED", if is_test { TRACED_IN_A_TEST } else { 10_000_000 });
    let lookups = number("SLIPSTREAM_LOOKUPS", if is_test { 20 } else { 200 });
    let folder = std::env::var_os("SLIPSTREAM_BENCH_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let is_named = |name: &str| arguments.iter().any(|argument| argument == name);
    let none_named = !ENGINES.iter().any(|(engine, _)| is_named(engine));
    for (engine, open) in ENGINES.into_iter().filter(|(engine, _)| none_named || is_named(engine)) {
        let folder = tempfile::tempdir_in(&folder).expect("a folder for the store");
        let place = folder.path().join("store");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let store = open(&place).expect("a store");
        fill(&runtime, &*store, traced, engine);
        if lookups == 0 {
            continue;
        }
        trace(&runtime, &*store, traced, lookups, engine);
        runtime.block_on(store.close()).expect("it closes");
        drop(store);
        let begun = Instant::now();
        let store = open(&place).expect("the store opens");
        println!("{:<8} opened again in {:?}", engine, begun.elapsed());
        trace(&runtime, &*store, traced, lookups, engine);
    }
}

fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |text| text.parse().expect("the variable has a whole number"))
}

/// The identity of a message, in no order.
fn identity(number: u64) -> Identity {
    let scattered = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let id = Ulid::from_parts(scattered >> 20, (u128::from(scattered) << 11) | u128::from(number));
    Identity { group: ClusterGroup::singleton(), id: MessageId::new(id.to_string()).expect("an id") }
}

fn peer(name: &str) -> Peer {
    Peer {
        id: PeerId::new(name).expect("an id"),
        kind: PeerKind::Application,
        group: ClusterGroup::singleton(),
        tags: Arc::from([]),
        durable: true,
        last_seen: Timestamp::ZERO,
        alias: None,
        paused: false,
    }
}

/// Records messages and acknowledges them.
fn fill(runtime: &Runtime, store: &dyn MessageStore, traced: u64, engine: &str) {
    let batch = number("SLIPSTREAM_TRACED_BATCH", 1000);
    let (shop, sender) = (peer("shop"), PeerId::new("sender").expect("an id"));
    let to = shop.id.clone();
    let recipients = Box::new([to.clone()]);
    let route = Arc::new(Route { received_from: sender.clone(), path: Box::new([sender]), recipients });
    let (message_type, text) = (MessageType::new("SK").expect("a type"), Bytes::from(vec![b'x'; 420]));
    let commit = |operations: Vec<Operation>| runtime.block_on(store.commit(Arc::new(operations.into())));
    commit(vec![Operation::RememberPeer(Box::new(shop))]).expect("the peer is remembered");
    let (begun, before) = (Instant::now(), cpu("store-writer"));
    let (mut owed, mut took): (Vec<Sequence>, _) = (Vec::new(), Vec::new());
    for (count, first) in (0..traced).step_by(usize::try_from(batch).expect("a batch")).enumerate() {
        let at = Timestamp::from_millis(1_700_000_000_000 + first / 100);
        let settled = owed.drain(..).map(|sequence| Operation::Acknowledge { peer: to.clone(), sequence, at });
        let record = |number| Record {
            identity: identity(number),
            fingerprint: Fingerprint::from_u64(number),
            message_type: message_type.clone(),
            key: None,
            expires_at: None,
            received_at: at,
            stamp: None,
            epoch: Some(Ulid::nil()),
            route: Arc::clone(&route),
            text: text.clone(),
        };
        let records = (first..traced.min(first + batch)).map(|number| Operation::Record(Box::new(record(number))));
        let operations = settled.chain(records).collect();
        let start = Instant::now();
        let outcomes = commit(operations).expect("the batch commits");
        took.push(start.elapsed());
        owed = outcomes
            .into_iter()
            .filter_map(|outcome| if let Outcome::Recorded { sequence } = outcome { Some(sequence) } else { None })
            .collect();
        if (count as u64).is_multiple_of(COMMITS_A_PURGE) {
            let horizon = Horizon { now: at, max_identities: IDENTITIES, ..Horizon::NOTHING };
            runtime.block_on(store.purge(horizon, NonZeroU32::MAX)).expect("the purge runs");
        }
    }
    let at = Timestamp::from_millis(1_700_000_000_000 + traced / 100);
    commit(owed.drain(..).map(|sequence| Operation::Acknowledge { peer: to.clone(), sequence, at }).collect())
        .expect("the batch commits");
    let (elapsed, cpu) = (begun.elapsed(), cpu("store-writer").saturating_sub(before));
    let micros = cpu.as_secs_f64() * 1e6 / traced as f64;
    let rate = traced as f64 / elapsed.as_secs_f64();
    let bytes = runtime.block_on(store.stats()).expect("stats").bytes;
    println!(
        "{engine:<8} wrote {traced} messages at {rate:.0}/s, {micros:.3} µs of the writer each; a commit {}; {bytes} bytes",
        spread(&mut took)
    );
}

/// Traces messages of all ages.
fn trace(runtime: &Runtime, store: &dyn MessageStore, traced: u64, lookups: u64, engine: &str) {
    let few = lookups.min(traced);
    let random = (0..few).map(|n| n.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(n << 7) % traced);
    let kinds: [(&str, Vec<u64>); 4] = [
        ("random", random.collect()),
        ("oldest", (0..few).collect()),
        ("newest", (traced - few..traced).collect()),
        ("absent", (traced..traced + few).collect()),
    ];
    for (kind, numbers) in kinds {
        let (mut took, before) = (Vec::new(), cpu("store-reader"));
        for number in numbers {
            let start = Instant::now();
            let found = runtime.block_on(store.deliveries(&identity(number))).expect("it is traced");
            took.push(start.elapsed());
            assert_eq!(found.is_some(), number < traced, "message {number}");
            let settled = found.is_none_or(|trace| {
                trace.deliveries.len() == 1 && trace.deliveries[0].state == DeliveryState::Acknowledged
            });
            assert!(settled, "message {number} was acknowledged");
        }
        let cpu = cpu("store-reader").saturating_sub(before) / u32::try_from(few.max(1)).expect("few");
        println!("{engine:<8} {kind} traced: {}; processor {cpu:?} each", spread(&mut took));
    }
}

fn spread(took: &mut [Duration]) -> String {
    took.sort_unstable();
    let at = |hundredths: usize| took[(took.len() - 1) * hundredths / 100];
    format!("p50 {:?}, p99 {:?}, max {:?}", at(50), at(99), at(100))
}

/// The processor time of the threads whose names begin so.
fn cpu(name: &str) -> Duration {
    let of = |task: &Path| {
        let is_meant = fs::read_to_string(task.join("comm")).ok()?.starts_with(name);
        let time = fs::read_to_string(task.join("schedstat")).ok()?;
        is_meant.then(|| time.split(' ').next().and_then(|nanos| nanos.parse().ok()).map(Duration::from_nanos))?
    };
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    tasks.filter_map(|task| of(&task.path())).sum()
}
