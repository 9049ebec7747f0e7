//! How large the file grows, and opening with much that is pending. Each is short here; the variables make it longer.
#![expect(clippy::unwrap_used, reason = "a test says what it finds by panicking")]

mod redb;

use redb::Redb;
use slipstream_conformance::{Place, campaigns};
use slipstream_store::Durability;

/// The bound that `docs/redb.md` states, without what is owed, remembered and traced.
const BOUND: u64 = 64 << 20;

fn number(variable: &str, short: u64) -> u64 {
    std::env::var(variable).map_or(short, |count| count.parse().unwrap())
}

#[tokio::test]
async fn a_store_that_turns_over_stays_within_the_stated_bound() {
    let messages = number("SLIPSTREAM_TURNOVER", 50_000);
    let peak = campaigns::turnover(&Place::new(Redb(Durability::Relaxed)), messages, BOUND).await;
    println!("{messages} messages turned over within {peak} bytes");
}

#[tokio::test]
async fn the_space_of_a_long_backlog_is_used_again() {
    let sizes = campaigns::backlogs_come_and_go(&Place::new(Redb(Durability::Relaxed)), 40_000).await;
    println!("{sizes:?} bytes after each backlog");
}

#[tokio::test]
async fn a_store_with_much_pending_opens_after_a_kill() {
    let messages = number("SLIPSTREAM_PENDING", 20_000);
    let opened = campaigns::backlog_after_a_kill(&Place::new(Redb(Durability::Full)), messages).await;
    println!("{messages} pending messages opened after a kill in {opened:?}");
}
