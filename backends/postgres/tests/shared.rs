//! One store, several processes: here each is a handle of its own.
#![expect(clippy::expect_used, reason = "a test says what it finds by panicking")]

mod postgres;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use postgres::{Postgres, name, server};
use slipstream_conformance::Harness as _;
use slipstream_conformance::fixture::*;
use slipstream_postgres::PostgresStore;
use slipstream_store::{DeadLetterReason, Depth, Key, MessageStore as _, Outcome, Record, Sequence, StoreError};

async fn open(place: &str) -> PostgresStore {
    Postgres.open(Path::new(place)).await.expect("the store opens")
}

/// Both record all of the messages, one after the other and in another order: each is recorded once, and a cursor that
/// follows meanwhile misses none.
#[tokio::test(flavor = "multi_thread")]
async fn what_two_processes_record_is_in_one_order() {
    const MESSAGES: usize = 300;
    let [one, other, reader] = [open("order").await, open("order").await, open("order").await];
    remember_all(&one, &["a"]).await;
    let recording = |store: PostgresStore, stride: usize| async move {
        let mut given = Vec::new();
        for n in 0..MESSAGES {
            let record = message(&format!("m{}", n * stride % MESSAGES), &["a"]);
            match commit_one(&store, put(record)).await {
                Outcome::Recorded { sequence } => given.push(sequence),
                known => assert_eq!(known, BY_IDENTITY),
            }
        }
        given
    };
    let writers = [tokio::spawn(recording(one, 1)), tokio::spawn(recording(other, 7))];
    let mut seen: Vec<Sequence> = Vec::new();
    while seen.len() < MESSAGES {
        let page = reader.pending(&peer("a"), seen.last().copied(), items(7)).await.expect("the page is read");
        seen.extend(page.items.iter().map(|item| item.sequence));
        assert!(seen.is_sorted_by(|left, right| left < right), "{seen:?}");
    }
    let mut given = BTreeSet::new();
    for writer in writers {
        given.extend(writer.await.expect("the writer ends well"));
    }
    assert_eq!(seen, given.into_iter().collect::<Vec<_>>());
    assert_eq!(reader.check(Depth::Full).await.expect("the check runs"), []);
}

/// Each settles the last deliveries of its own peer: of the two, the later closes the pack.
#[tokio::test(flavor = "multi_thread")]
async fn two_processes_settle_the_last_deliveries_of_a_pack() {
    let stores = [Arc::new(open("last").await), Arc::new(open("last").await)];
    remember_all(&*stores[0], &["a", "b"]).await;
    for round in 0..40 {
        let records = (0..3).map(|n| put(message(&format!("m{round}-{n}"), &["a", "b"]))).collect();
        let given = sequences(&*stores[0], records).await;
        let settling = stores.iter().zip(["a", "b"]).map(|(store, name)| {
            let (store, given) = (Arc::clone(store), given.clone());
            tokio::spawn(async move {
                let settled = given.into_iter().map(|sequence| acknowledge(name, sequence)).collect();
                assert_eq!(commit(&*store, settled).await, [Outcome::Applied; 3]);
            })
        });
        for ended in settling.collect::<Vec<_>>() {
            ended.await.expect("it ends well");
        }
    }
    assert_eq!(stores[1].check(Depth::Full).await.expect("the check runs"), []);
    assert_eq!(
        server().sql(&name(Path::new("last")), "SELECT count(*) FROM slipstream.pack WHERE texts IS NOT NULL"),
        "0"
    );
}

/// A process whose entry is gone commits and purges nothing more.
#[tokio::test(flavor = "multi_thread")]
async fn a_retired_process_changes_nothing() {
    let [retired, other] = [open("retired").await, open("retired").await];
    remember_all(&retired, &["a"]).await;
    server().sql(
        &name(Path::new("retired")),
        "DELETE FROM slipstream.process WHERE origin = (SELECT min(origin) FROM slipstream.process)",
    );
    let batch = Arc::new(vec![put(message("m1", &["a"]))].into());
    let refused = retired.commit(Arc::clone(&batch)).await;
    assert!(matches!(refused, Err(StoreError::Retired)), "{refused:?}");
    let refused = retired.purge(everything(), std::num::NonZeroU32::MIN).await;
    assert!(matches!(refused, Err(StoreError::Retired)), "{refused:?}");
    assert_eq!(shared(&retired).news(Duration::ZERO).await, Err(StoreError::Retired));
    retired.close().await.expect("it closes");
    assert_eq!(owed(&other, "a").await, []);
    assert!(matches!(other.commit(batch).await.expect("the other commits")[0], Outcome::Recorded { .. }));
}

/// A batch may name a sequence that it gives itself. Then nothing changes places.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_may_name_its_own_sequences() {
    let store = open("guess").await;
    remember_all(&store, &["a"]).await;
    let first = Sequence::FIRST;
    let operations = vec![
        acknowledge("a", first),
        put(message("m1", &["a"])),
        attempt("a", first, 1),
        acknowledge("a", first),
        put(message("m2", &["a"])),
        acknowledge("a", first),
    ];
    let outcomes = commit(&store, operations).await;
    let [applied, unchanged] = [Outcome::Applied, Outcome::Unchanged];
    assert_eq!([outcomes[0], outcomes[2], outcomes[3], outcomes[5]], [unchanged, applied, applied, unchanged]);
    assert_eq!(outcomes[1], Outcome::Recorded { sequence: first });
    assert_eq!(owed(&store, "a").await, [sequence_of(outcomes[4])]);
}

/// A zero byte, which PostgreSQL's texts cannot hold, comes back in a text, a key and a reason.
#[tokio::test(flavor = "multi_thread")]
async fn zero_bytes_come_back() {
    let store = open("zero").await;
    remember_all(&store, &["a"]).await;
    let key = Some(Key::new("a\0key").expect("a key"));
    let record = Record { key: key.clone(), text: "{\"a\":\"\\u0000\"}\0".into(), ..message("m1", &["a"]) };
    let sequence = recorded(&store, record.clone()).await;
    assert_eq!((&backlog(&store, "a").await[0].key, &backlog(&store, "a").await[0].text), (&key, &record.text));
    let reason = DeadLetterReason::rejected("no\0");
    commit(&store, vec![give_up_for("a", sequence, reason.clone()), import("b", record.clone())]).await;
    let dead = all_dead(&store).await;
    assert_eq!((&dead[0].reason, &dead[0].key, &dead[1].text), (&reason, &key, &record.text));
}

/// What is stored can be read in psql.
#[tokio::test(flavor = "multi_thread")]
async fn people_can_read_the_texts() {
    let store = open("people").await;
    remember_all(&store, &["a"]).await;
    let given = sequences(&store, vec![put(message("m1", &["a"])), put(message("m2", &["a"]))]).await;
    let sql = "SELECT sequence, \"group\", id, text FROM slipstream.texts ORDER BY sequence";
    let printed = server().sql(&name(Path::new("people")), sql);
    let line = |at: usize| format!("{}|singleton|m{}|the text of m{}", given[at], at + 1, at + 1);
    assert_eq!(printed, format!("{}\n{}", line(0), line(1)));
}

/// Of a pack of which few messages are still owed, the other texts go; what is owed comes back as it was.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_a_pack_takes_little_room() {
    let store = open("sparse").await;
    remember_all(&store, &["a", "away"]).await;
    let to = |n: u32| if n % 100 == 7 { &["a", "away"][..] } else { &["a"][..] };
    let records = (0..1000).map(|n| put(plain(&format!("m{n}"), to(n)))).collect();
    let given = sequences(&store, records).await;
    let before = backlog(&store, "away").await;
    let kept = || {
        let sql = "SELECT sum(octet_length(texts)) FROM slipstream.pack";
        server().sql(&name(Path::new("sparse")), sql).parse::<u64>().expect("a number")
    };
    assert_eq!(kept(), 256_000);
    commit(&store, given.iter().map(|sequence| acknowledge("a", *sequence)).collect()).await;
    assert_eq!((backlog(&store, "away").await, kept()), (before.clone(), 2560));
    commit(&store, before[..9].iter().map(|item| acknowledge("away", item.sequence)).collect()).await;
    assert_eq!((backlog(&store, "away").await, kept()), (before[9..].to_vec(), 256));
    assert_eq!(store.check(Depth::Full).await.expect("the check runs"), []);
}

/// Plans are made while nothing is there, and the tables are known to be empty. What is read of them afterwards goes by
/// what is asked for, not by what there is.
#[tokio::test(flavor = "multi_thread")]
async fn plans_of_empty_tables_serve_large_ones() {
    const MESSAGES: usize = 10_000;
    let (store, database) = (open("plans").await, name(Path::new("plans")));
    server().sql(&database, "VACUUM ANALYZE");
    remember_all(&store, &["a", "away"]).await;
    let mut given = Vec::new();
    for first in (0..MESSAGES).step_by(250) {
        let records = (first..first + 250).map(|n| put(message(&format!("m{n}"), &["a", "away"]))).collect();
        given.extend(sequences(&store, records).await);
        let last = given[given.len() - 250..].iter();
        commit(&store, last.map(|sequence| acknowledge("a", *sequence)).collect()).await;
    }
    store.close().await.expect("the store closes");
    let counted = "SELECT sum(n_tup_ins) FROM pg_stat_user_tables WHERE relname = 'message'";
    while server().sql(&database, counted) != MESSAGES.to_string() {
        tokio::task::yield_now().await;
    }
    let read = "SELECT max(idx_tup_read) FROM pg_stat_user_indexes";
    let read: usize = server().sql(&database, read).parse().expect("a number");
    assert!(read < 2 * MESSAGES, "{read} rows of an index were read for {MESSAGES} messages");
}
