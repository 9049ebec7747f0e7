//! The relay end to end over loopback, beside the store alone doing the same operations, in one run.
//!
//! The load is that of `slipstream bench relay`: one publisher with 512 messages in flight, one subscriber that
//! acknowledges, 256-byte values, `full` durability on SQLite. A message counts once it is confirmed to the publisher
//! and acknowledged by the subscriber. The store is on the disk of `SLIPSTREAM_BENCH_DIR`, or of the target folder.
#![expect(clippy::expect_used, reason = "a bench is read and run, and ends where it cannot go on")]

use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use slipstream_benches::load::{Goal, Load, Mode, Plan, Run};
use slipstream_relay::clock::{Clock as _, SystemClock};
use slipstream_relay::link::TcpConnector;
use slipstream_relay::listen::{AllowAll, Listener as _, TcpListener};
use slipstream_relay::{Relay, Settings};
use slipstream_sqlite::StoreOptions;
use slipstream_store::{
    Batch, ClusterGroup, Durability, Fingerprint, Identity, MessageId, MessageStore, MessageType, Operation, Outcome,
    Peer, PeerId, PeerKind, Record, Route, Timestamp,
};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// Messages of one measured round.
const ROUND: u64 = 20_000;

/// Messages that the publisher has in flight.
const IN_FLIGHT: NonZeroU32 = NonZeroU32::new(512).unwrap();

/// Bytes of a value, quotes included.
const VALUE: usize = 256;

fn folder(name: &str) -> PathBuf {
    let base = std::env::var_os("SLIPSTREAM_BENCH_DIR")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench-stores")), PathBuf::from);
    let folder = base.join(format!("{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("the bench folder can be made");
    folder
}

fn open(name: &str) -> Arc<dyn MessageStore> {
    let options = StoreOptions::new(folder(name)).durability(Durability::Full);
    Arc::new(slipstream_sqlite::open(&options).expect("the store opens"))
}

/// A load of one publisher and one subscriber, with links.
async fn connect(url: &str) -> Load {
    let plan = Plan {
        to: url.to_owned(),
        token: None,
        tls: None,
        mode: Mode::Live,
        goal: Goal::Messages(ROUND),
        warmup: None,
        publishers: NonZeroU16::MIN,
        subscribers: 1,
        window: IN_FLIGHT,
        payload: VALUE,
        keys: None,
        ack_batch: NonZeroU16::new(128).expect("not 0"),
        patience: Duration::from_secs(60),
    };
    let mut load = Load::new(plan, Run::new(SystemClock::new().ulid())).expect("a plan");
    load.subscribe(true).await.expect("the subscriber connects");
    load.publish().await.expect("the publisher connects");
    load
}

fn relay(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let shutdown = CancellationToken::new();
    let (mut load, running) = runtime.block_on(async {
        let relay =
            Relay::open_erased(open("relay"), Settings::default(), Arc::new(SystemClock::new())).await.expect("opens");
        let listener = TcpListener::bind("127.0.0.1:0".parse().expect("valid")).expect("binds");
        let url = format!("ws://{}/", listener.local_addr().expect("bound"));
        let running = tokio::spawn(relay.run_erased(
            Some(Box::new(listener)),
            Arc::new(AllowAll),
            Arc::new(TcpConnector),
            shutdown.clone(),
        ));
        (connect(&url).await, running)
    });
    let mut group = group(criterion);
    group.bench_function("relay: publish, confirm, deliver, acknowledge", |bencher| {
        bencher.iter_custom(|rounds| {
            let goal = Goal::Messages(ROUND * rounds);
            let measured = runtime.block_on(load.stage(goal, &mut async |_| ())).expect("the links stay");
            assert!(!measured.is_stalled(), "every message is confirmed and delivered");
            measured.elapsed()
        });
    });
    group.finish();
    runtime.block_on(load.close()).expect("the links end in order");
    shutdown.cancel();
    runtime.block_on(running).expect("joins").expect("ends in order");
}

/// The operations that the relay asks of its store for a round, in batches as large as what is in flight.
fn store(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let store = open("store");
    let peers = ["publisher", "subscriber"].map(|id| PeerId::new(id).expect("valid"));
    let remember = peers.iter().map(|id| {
        Operation::RememberPeer(Box::new(Peer {
            id: id.clone(),
            kind: PeerKind::Application,
            group: ClusterGroup::singleton(),
            tags: Arc::default(),
            durable: true,
            last_seen: Timestamp::ZERO,
            alias: None,
            paused: false,
        }))
    });
    let batch = Arc::new(Batch::from(remember.collect::<Vec<_>>()));
    runtime.block_on(store.commit(batch)).expect("commits");
    let [publisher, subscriber] = peers;
    let route = Arc::new(Route {
        received_from: publisher.clone(),
        path: Box::new([publisher, PeerId::new("relay").expect("valid")]),
        recipients: Box::new([subscriber.clone()]),
    });
    let mut next = 0;
    let mut settle = Vec::new();
    let mut group = group(criterion);
    group.bench_function("store alone: the same operations", |bencher| {
        bencher.iter_custom(|rounds| {
            let started = Instant::now();
            for _ in 0..rounds {
                let batch = u64::from(IN_FLIGHT.get());
                for first in (next..next + ROUND).step_by(IN_FLIGHT.get() as usize) {
                    let mut operations: Vec<_> =
                        (first..(first + batch).min(next + ROUND)).map(|number| record(number, &route)).collect();
                    operations.append(&mut settle);
                    let outcomes = runtime.block_on(store.commit(Arc::new(operations.into()))).expect("commits");
                    settle.extend(outcomes.into_iter().filter_map(|outcome| match outcome {
                        Outcome::Recorded { sequence } => {
                            Some(Operation::Acknowledge { peer: subscriber.clone(), sequence, at: Timestamp::ZERO })
                        }
                        _ => None,
                    }));
                }
                next += ROUND;
            }
            started.elapsed()
        });
    });
    group.finish();
    runtime.block_on(store.close()).expect("closes");
}

fn record(number: u64, route: &Arc<Route>) -> Operation {
    let id = format!("m{number:012}");
    let value = "v".repeat(VALUE - 2);
    let text = format!(
        r#"{{"type":"SK","key":"order:{number}","value":"{value}","messageId":"{id}","originInstanceId":"publisher","sourceInstanceId":"publisher","messagePath":["publisher","relay"],"clusterGroupId":"singleton","relayStamp":"01JD0000000000000000000000:{number}"}}"#
    );
    Operation::Record(Box::new(Record {
        identity: Identity { group: ClusterGroup::singleton(), id: MessageId::new(id).expect("valid") },
        fingerprint: Fingerprint::from_u64(number),
        message_type: MessageType::new("SK").expect("valid"),
        key: None,
        expires_at: None,
        received_at: Timestamp::from_millis(number),
        stamp: None,
        epoch: Some(ulid::Ulid::nil()),
        route: Arc::clone(route),
        text: Bytes::from(text),
    }))
}

fn group(criterion: &mut Criterion) -> criterion::BenchmarkGroup<'_, criterion::measurement::WallTime> {
    let mut group = criterion.benchmark_group("one publisher, one subscriber, full, 256 bytes");
    group.throughput(Throughput::Elements(ROUND)).sample_size(10).measurement_time(Duration::from_secs(10));
    group
}

criterion_group!(benches, store, relay);
criterion_main!(benches);
