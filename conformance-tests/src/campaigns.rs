//! Longer runs than the cases', with a length and a bound that the store's author gives: short in every test run, and
//! as long as one likes by hand.

use std::fs;
use std::ops::Range;
use std::time::{Duration, Instant};

use slipstream_store::{Depth, Horizon, MessageStore, Operation};

use crate::fixture::*;
use crate::harness::{Harness, Sandbox};

/// Expands to a test for each campaign, on the stores of a harness, with the most bytes that a store may take which turns
/// over, and by how many hundredths it may be larger after four backlogs than after the first: a quarter, unless the
/// engine's page in docs/ says otherwise. The tests are short; `SLIPSTREAM_TURNOVER` and `SLIPSTREAM_PENDING` name more
/// messages.
#[macro_export]
macro_rules! campaign_tests {
    ($harness:expr, $bound:expr) => {
        $crate::campaign_tests!($harness, $bound, 25);
    };
    ($harness:expr, $bound:expr, $growth:expr) => {
        #[tokio::test(flavor = "multi_thread")]
        async fn a_store_that_turns_over_stays_within_the_stated_bound() {
            let messages = $crate::campaigns::count("SLIPSTREAM_TURNOVER", 50_000);
            let peak = $crate::campaigns::turnover(&$crate::Sandbox::new($harness), messages, $bound).await;
            println!("{messages} messages turned over within {peak} bytes");
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn the_space_of_a_long_backlog_is_used_again() {
            let sizes = $crate::campaigns::backlogs_come_and_go(&$crate::Sandbox::new($harness), 40_000, $growth).await;
            println!("{sizes:?} bytes after each backlog");
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn a_store_with_much_pending_opens_after_a_kill() {
            let messages = $crate::campaigns::count("SLIPSTREAM_PENDING", 20_000);
            let opened = $crate::campaigns::backlog_after_a_kill(&$crate::Sandbox::new($harness), messages).await;
            println!("{messages} pending messages opened after a kill in {opened:?}");
        }
    };
}

/// A count from the environment, or the short one.
///
/// # Panics
/// If the variable has something else than a whole number.
#[must_use]
pub fn count(variable: &str, short: u64) -> u64 {
    std::env::var(variable).map_or(short, |count| count.parse().expect("the variable has a whole number"))
}

/// Messages in a batch.
const BATCH: u64 = 250;

fn messages_to_a(numbers: Range<u64>) -> impl Iterator<Item = Operation> {
    numbers.map(|number| put(plain(&format!("m{number}"), &["a"])))
}

/// C9: so many messages are recorded and settled, with a purge now and then, and meanwhile the store never takes more
/// bytes than `bound`. One message stays owed, so that the beginning cannot simply be cut off. Returns the most bytes
/// that it took.
///
/// # Panics
/// If the store grows beyond the bound, or is not what it should be at the end.
pub async fn turnover<H: Harness>(sandbox: &Sandbox<H>, messages: u64, bound: u64) -> u64 {
    let store = sandbox.open().await;
    remember_all(&store, &["a", "away"]).await;
    recorded(&store, message("held", &["away"])).await;
    let (mut owed, mut peak) = (Vec::new(), 0);
    let horizon = Horizon { now: t(10), max_identities: 10_000, max_trace_bytes: 1 << 20, ..Horizon::NOTHING };
    for batch in 0..messages / BATCH {
        let settled = owed.drain(..).map(|sequence| acknowledge("a", sequence));
        let operations = settled.chain(messages_to_a(batch * BATCH..(batch + 1) * BATCH)).collect();
        owed = sequences(&store, operations).await;
        if batch % 8 == 0 {
            purge_all(&store, horizon, 1000).await;
            let stats = store.stats().await.expect("stats");
            peak = peak.max(stats.bytes);
            assert!(stats.bytes <= bound, "{} bytes after {} messages: expected {bound}", stats.bytes, batch * BATCH);
            assert_eq!((stats.messages, stats.pending), (BATCH + 1, BATCH + 1), "what is owed is stored");
        }
    }
    assert_eq!(store.check(Depth::Full).await.expect("the check runs"), []);
    let store = sandbox.reopen(store).await;
    let stats = store.stats().await.expect("stats");
    assert_eq!((stats.messages, stats.pending), (BATCH + 1, BATCH + 1), "what is owed is stored");
    peak
}

/// C9: the space of a backlog is used again by the next: after four, the store takes at most `growth` hundredths more
/// than after the first. Returns the bytes after each.
///
/// # Panics
/// If it grows.
pub async fn backlogs_come_and_go<H: Harness>(sandbox: &Sandbox<H>, messages: u64, growth: u64) -> Vec<u64> {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let mut sizes = Vec::new();
    for round in 0..4 {
        let mut owed = Vec::new();
        for batch in 0..messages / BATCH {
            let first = (round * messages / BATCH + batch) * BATCH;
            owed.extend(sequences(&store, messages_to_a(first..first + BATCH).collect()).await);
        }
        for settled in owed.chunks(5000) {
            commit(&store, settled.iter().map(|sequence| acknowledge("a", *sequence)).collect()).await;
        }
        purge_all(&store, everything(), 100_000).await;
        sizes.push(store.stats().await.expect("stats").bytes);
    }
    assert!(sizes[3] <= sizes[0] + sizes[0] * growth / 100, "{sizes:?}");
    sizes
}

/// C2: what a killed process leaves, with so many pending messages, opens, is whole and in order. Returns how long the
/// opening took. (The files are copied while the store is open: that is what a kill leaves.)
///
/// # Panics
/// If something is missing, or the store finds itself damaged.
pub async fn backlog_after_a_kill<H: Harness>(sandbox: &Sandbox<H>, messages: u64) -> Duration {
    let store = sandbox.open().await;
    remember_all(&store, &["a"]).await;
    let mut expected = Vec::new();
    for first in (0..messages).step_by(1000) {
        expected.extend(sequences(&store, messages_to_a(first..messages.min(first + 1000)).collect()).await);
    }
    let left = sandbox.beside("left");
    for file in sandbox.data_files() {
        let name = file.strip_prefix(sandbox.path()).expect("it is the store's");
        let copy = if name.as_os_str().is_empty() { left.clone() } else { left.join(name) };
        fs::create_dir_all(copy.parent().expect("it is in a folder")).expect("a folder can be made");
        fs::copy(&file, copy).expect("a data file is copied");
    }
    sandbox.take_copy(&left);
    let begun = Instant::now();
    let store = sandbox.open_at(&left).await.expect("the store opens");
    let opened = begun.elapsed();
    assert!(owed(&store, "a").await == expected, "what was committed is owed, in order");
    assert_eq!(store.check(Depth::Full).await.expect("the check runs"), []);
    opened
}
