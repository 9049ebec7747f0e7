//! Stores that turn over, on every engine: what is recorded, settled and purged leaves no room taken (clause C9).
//!
//! `SLIPSTREAM_TURNOVER=10000000` is a busy day.

#![cfg(test)]

mod support;

use std::path::Path;

use slipstream::backend::{self, COMPILED};
use slipstream::bench::store::{Flow, Shape, allocated};
use slipstream::config::Engine;
use slipstream::store::{Depth, Durability};

/// Messages that are turned over in CI.
const SHORT: u64 = 60_000;

/// Messages of a batch.
const BATCH: u64 = 250;

/// Messages between two looks at the size.
const LOOK: u64 = 10_000;

/// What a store may take beside what is owed, remembered and traced, as `docs/choosing-a-store.md` states it: free
/// pages, logs, files that grow by steps.
const BOUND: u64 = 64 << 20;

/// What is remembered and traced here.
const SHAPE: Shape = Shape { recipients: 1, text_bytes: 550, identities: 10_000, trace_bytes: 1 << 20, first: 0 };

async fn flow(engine: Engine, path: &Path, shape: Shape) -> Flow {
    // Where the space goes does not depend on syncs, and without them ten million messages take minutes.
    let store = backend::open(engine, path, Durability::Relaxed).expect("it opens");
    Flow::start(store, shape).await.expect("the peers are remembered")
}

/// Turns messages over, and answers the most bytes on the disk in the first and in the second half.
async fn turn_over(flow: &mut Flow, path: &Path, engine: Engine, messages: u64) -> (u64, u64) {
    let (mut first, mut second) = (0, 0);
    for done in (BATCH..=messages).step_by(usize::try_from(BATCH).expect("it is small")) {
        flow.turn_over(BATCH).await.expect("it commits");
        flow.purge_when_due().await.expect("it purges");
        if done % LOOK == 0 {
            let bytes = allocated(path);
            assert!(bytes < BOUND, "{engine}: {bytes} bytes after {done} messages");
            let half = if done * 2 <= messages { &mut first } else { &mut second };
            *half = bytes.max(*half);
        }
    }
    (first, second)
}

#[tokio::test]
async fn a_store_that_turns_over_stays_within_the_stated_bound() {
    let messages = support::number_from_environment("SLIPSTREAM_TURNOVER").unwrap_or(SHORT);
    for &engine in COMPILED {
        let folder = tempfile::tempdir().expect("a folder");
        let mut flow_here = flow(engine, folder.path(), SHAPE).await;
        // One message stays owed all along, as a peer that is away has it.
        flow_here.fill(1, &mut |_| ()).await.expect("it is stored");
        let (first, second) = turn_over(&mut flow_here, folder.path(), engine, messages).await;
        flow_here.settle().await.expect("it settles");
        flow_here.purge(SHAPE.identities, SHAPE.trace_bytes).await.expect("it purges");
        let stats = flow_here.store().stats().await.expect("it counts");
        assert_eq!((stats.messages, stats.pending), (1, 1), "{engine}: {stats:?}");
        assert!(stats.identities <= SHAPE.identities, "{engine}: {stats:?}");
        assert_eq!(flow_here.store().check(Depth::Full).await.expect("it looks"), [], "{engine}");
        flow_here.store().close().await.expect("it closes");
        let closed = allocated(folder.path());
        println!(
            "{engine}: {messages} messages turned over within {first} bytes in the first half, {second} in the second; \
             {closed} closed"
        );
        let again = flow(engine, folder.path(), Shape { first: messages + 1, ..SHAPE }).await;
        let stats = again.store().stats().await.expect("it counts");
        assert_eq!((stats.messages, stats.pending), (1, 1), "{engine}, opened again: {stats:?}");
    }
}
