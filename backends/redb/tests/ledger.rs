//! How large the file grows, what is given back, and opening with much that is pending.
#![expect(clippy::unwrap_used, reason = "a test says what it finds by panicking")]

mod fixture;

use std::time::Instant;

use slipstream_store::{Depth, Horizon, MessageStore, Timestamp};

use fixture::{acknowledge, commit, fill, open, owed, purge, record, remember, route};

/// The bound that `docs/redb.md` states, without what is owed, remembered and traced.
const BOUND: u64 = 64 << 20;

fn number(variable: &str, short: usize) -> usize {
    std::env::var(variable).map_or(short, |count| count.parse().unwrap())
}

#[tokio::test]
async fn a_store_that_turns_over_stays_within_the_stated_bound() {
    let messages = number("SLIPSTREAM_TURNOVER", 50_000);
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    commit(&store, vec![remember("a"), remember("away")]).await;
    commit(&store, vec![record("held", &route("away"))]).await;
    let (route, mut owed, mut peak) = (route("a"), Vec::new(), 0);
    let now = Timestamp::from_millis(10_000);
    let horizon = Horizon { now, max_identities: 10_000, max_trace_bytes: 1 << 20, ..Horizon::NOTHING };
    for batch in 0..messages / 250 {
        let mut operations: Vec<_> = owed.drain(..).map(|sequence| acknowledge("a", sequence)).collect();
        operations.extend((0..250).map(|n| record(&format!("m-{batch}-{n}"), &route)));
        owed = commit(&store, operations).await;
        if batch % 8 == 0 {
            purge(&store, horizon, 1000).await;
            let stats = store.stats().await.unwrap();
            peak = peak.max(stats.bytes);
            assert!(stats.bytes < BOUND, "{} bytes after {} messages", stats.bytes, batch * 250);
            assert!((stats.messages, stats.pending) == (251, 251) && stats.identities <= 10_000, "{stats:?}");
        }
    }
    assert_eq!(store.check(Depth::Full).await.unwrap(), []);
    println!("{messages} messages turned over within {peak} bytes");
    store.close().await.unwrap();
    let stats = open(folder.path()).stats().await.unwrap();
    assert_eq!((stats.messages, stats.pending), (251, 251));
}

#[tokio::test]
async fn the_space_of_a_long_backlog_is_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let horizon = Horizon { max_identities: 0, max_trace_bytes: 0, ..Horizon::NOTHING };
    let mut sizes = Vec::new();
    for round in 0..4 {
        commit(&store, vec![remember("a")]).await;
        let route = route("a");
        let mut owed = Vec::new();
        for batch in 0..40 {
            let records = (0..1000).map(|n| record(&format!("m-{round}-{batch}-{n}"), &route));
            owed.extend(commit(&store, records.collect()).await);
        }
        let full = store.stats().await.unwrap().bytes;
        for settled in owed.chunks(5000) {
            commit(&store, settled.iter().map(|sequence| acknowledge("a", *sequence)).collect()).await;
        }
        purge(&store, horizon, 100_000).await;
        sizes.push((full, store.stats().await.unwrap().bytes));
    }
    println!("{sizes:?}");
    let (first, last) = (sizes[0].0, sizes[3].0);
    assert!(last < first + first / 4, "{sizes:?}");
}

#[tokio::test]
async fn a_store_with_much_pending_opens_after_a_kill() {
    let messages = number("SLIPSTREAM_PENDING", 20_000);
    let temporary = tempfile::tempdir().unwrap();
    let (folder, copy) = (temporary.path().join("store"), temporary.path().join("copy"));
    let store = open(&folder);
    let expected = fill(&store, "a", messages).await;
    std::fs::create_dir(&copy).unwrap();
    std::fs::copy(folder.join("slipstream.redb"), copy.join("slipstream.redb")).unwrap();
    let begun = Instant::now();
    let killed = open(&copy);
    println!("{messages} pending messages opened after a kill in {:?}", begun.elapsed());
    assert_eq!(owed(&killed, "a").await.unwrap(), expected);
    assert_eq!(killed.check(Depth::Full).await.unwrap(), []);
}
