//! How large the store grows.
#![expect(clippy::expect_used, reason = "a test says what it finds by panicking")]

mod postgres;

use postgres::Postgres;
use slipstream_conformance::{Sandbox, campaigns};

/// The bound of a store that turns over, without what is owed, remembered and traced.
const BOUND: u64 = 32 << 20;

/// By how many hundredths a store may be larger after four backlogs than after the first. The vacuum that frees the rows of
/// one backlog runs while the next is being recorded.
const GROWTH: u64 = 40;

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_turns_over_stays_within_the_stated_bound() {
    let messages = campaigns::count("SLIPSTREAM_TURNOVER", 50_000);
    let peak = campaigns::turnover(&Sandbox::new(Postgres), messages, BOUND).await;
    println!("{messages} messages turned over within {peak} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_space_of_a_long_backlog_is_used_again() {
    let sizes = campaigns::backlogs_come_and_go(&Sandbox::new(Postgres), 40_000, GROWTH).await;
    println!("{sizes:?} bytes after each backlog");
}
