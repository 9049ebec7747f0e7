//! What the conformance suite does not look at: how long traces last, how large the file grows, what is kept in it.
#![expect(clippy::unwrap_used, reason = "a test says what it finds by panicking")]

use std::path::Path;

use slipstream_conformance::fixture::{commit, id, peer, plain, purge_all, put, remember_all, sequences, t};
use slipstream_embedded::StoreOptions;
use slipstream_sqlite::SqliteStore;
use slipstream_store::{
    DeadLetterReason, DeliveryState, Depth, Horizon, MessageStore, Operation, Record, Sequence, Timestamp,
};

fn record(name: &str, recipients: &[&str], at: Timestamp) -> Operation {
    put(Record { received_at: at, ..plain(name, recipients) })
}

fn acknowledge(name: &str, sequence: Sequence, at: Timestamp) -> Operation {
    Operation::Acknowledge { peer: peer(name), sequence, at }
}

fn open(path: &Path) -> SqliteStore {
    slipstream_sqlite::open(&StoreOptions::new(path)).unwrap()
}

/// A purge at `now` with an hour of everything.
async fn purge(store: &SqliteStore, now: u64) {
    let hour_ago = t(now - 3600);
    let horizon = Horizon {
        now: t(now),
        expiries: t(now),
        identities: hour_ago,
        stamps: hour_ago,
        traces: hour_ago,
        ..Horizon::NOTHING
    };
    purge_all(store, horizon, 64).await;
}

async fn states(store: &SqliteStore, name: &str) -> Option<Vec<(String, DeliveryState, Option<Timestamp>)>> {
    let trace = store.deliveries(&id(name)).await.unwrap()?;
    assert_eq!((trace.received_at, trace.path.len()), (t(10_000), 2));
    let deliveries = trace.deliveries.into_iter();
    Some(deliveries.map(|delivery| (delivery.peer.to_string(), delivery.state, delivery.settled_at)).collect())
}

#[tokio::test]
async fn a_trace_lasts_from_the_last_settlement_however_old_the_record_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    remember_all(&store, &["quick", "slow"]).await;
    let sequence = sequences(&store, vec![record("m1", &["quick", "slow"], t(10_000))]).await[0];
    commit(&store, vec![acknowledge("quick", sequence, t(10_001))]).await;
    // Other traffic for a day, with a purge every ten minutes: the first rows of the journal are long gone.
    for now in (10_600..96_400).step_by(600) {
        // Enough of it that blocks fill: what shares a block with something that lasts may last as long.
        let others = (0..20).map(|n| record(&format!("other-{now}-{n}"), &["quick"], t(now)));
        let others = sequences(&store, others.collect()).await;
        commit(&store, others.into_iter().map(|other| acknowledge("quick", other, t(now))).collect()).await;
        purge(&store, now).await;
    }
    let acknowledged = ("quick".to_owned(), DeliveryState::Acknowledged, Some(t(10_001)));
    let expected = vec![acknowledged.clone(), ("slow".to_owned(), DeliveryState::Pending, None)];
    assert_eq!(states(&store, "m1").await, Some(expected));
    assert_eq!(states(&store, "other-20200-7").await, None, "what was settled long ago is forgotten");

    commit(&store, vec![acknowledge("slow", sequence, t(96_400))]).await;
    let expected = vec![acknowledged, ("slow".to_owned(), DeliveryState::Acknowledged, Some(t(96_400)))];
    for now in (96_400..99_900).step_by(500) {
        purge(&store, now).await;
        assert_eq!(states(&store, "m1").await.as_ref(), Some(&expected), "{now}");
    }
    for now in (100_000..120_000).step_by(500) {
        purge(&store, now).await;
    }
    assert_eq!(states(&store, "m1").await, None);
    assert_eq!(store.check(Depth::Full).await.unwrap(), []);
}

#[tokio::test]
async fn a_dead_letter_keeps_the_whole_trace_also_once_it_is_redriven() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    remember_all(&store, &["a", "b"]).await;
    let sequence = sequences(&store, vec![record("m1", &["a", "b"], t(10_000))]).await[0];
    let reason = DeadLetterReason::Unacknowledged;
    let give_up = Operation::DeadLetter { peer: peer("b"), sequence, reason, attempts: 4, at: t(10_002) };
    commit(&store, vec![acknowledge("a", sequence, t(10_001)), give_up]).await;
    for now in (13_700..40_000).step_by(600) {
        purge(&store, now).await;
    }
    let a = ("a".to_owned(), DeliveryState::Acknowledged, Some(t(10_001)));
    let dead = ("b".to_owned(), DeliveryState::Dead, Some(t(10_002)));
    assert_eq!(states(&store, "m1").await, Some(vec![a.clone(), dead]));
    let redriven = sequences(&store, vec![Operation::Redrive { peer: peer("b"), sequence }]).await[0];
    for now in (40_000..60_000).step_by(600) {
        purge(&store, now).await;
    }
    assert_eq!(states(&store, "m1").await, Some(vec![a.clone(), ("b".to_owned(), DeliveryState::Pending, None)]));
    commit(&store, vec![acknowledge("b", redriven, t(60_000))]).await;
    for now in (60_000..63_600).step_by(600) {
        purge(&store, now).await;
        let b = ("b".to_owned(), DeliveryState::Acknowledged, Some(t(60_000)));
        assert_eq!(states(&store, "m1").await, Some(vec![a.clone(), b]), "{now}");
    }
    for now in (64_000..90_000).step_by(600) {
        purge(&store, now).await;
    }
    assert_eq!(states(&store, "m1").await, None);
    assert_eq!(store.check(Depth::Full).await.unwrap(), []);
}

#[tokio::test]
async fn space_is_given_back_after_a_long_backlog() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    remember_all(&store, &["a"]).await;
    let mut owed = Vec::new();
    for batch in 0..80 {
        let records = (0..1000).map(|n| record(&format!("m-{batch}-{n}"), &["a"], t(10)));
        owed.extend(sequences(&store, records.collect()).await);
    }
    let full = store.stats().await.unwrap().bytes;
    commit(&store, owed.into_iter().map(|sequence| acknowledge("a", sequence, t(10))).collect()).await;
    let horizon = Horizon { max_identities: 0, max_trace_bytes: 0, ..Horizon::NOTHING };
    for round in 0..60 {
        purge_all(&store, horizon, 100_000).await;
        // Something to purge, so that the next purge gives back more.
        let next = sequences(&store, vec![record(&format!("n-{round}"), &["a"], t(10))]).await[0];
        commit(&store, vec![acknowledge("a", next, t(10))]).await;
    }
    store.close().await.unwrap();
    let file = std::fs::metadata(folder.path().join("slipstream.db")).unwrap().len();
    assert!(file < full / 2 && file < 24 << 20, "{file} bytes after {full}");
}

#[tokio::test]
async fn a_person_finds_the_texts_of_what_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    remember_all(&store, &["a"]).await;
    let texts = ["{\"value\":\"é\"}".to_owned(), String::new(), "x".repeat(70_000), "y".repeat(300)];
    let mut expected = Vec::new();
    // Packs of several messages, of one that is large, and of one that is alone.
    for (round, text) in texts.iter().cycle().take(1200).enumerate() {
        let record = Record { text: text.clone().into(), ..plain(&format!("m{round}"), &["a"]) };
        expected.push((put(record), text.clone()));
    }
    let (records, texts): (Vec<_>, Vec<_>) = expected.into_iter().unzip();
    let mut given = sequences(&store, records).await;
    given.extend(sequences(&store, vec![put(Record { text: "last".into(), ..plain("last", &["a"]) })]).await);
    let texts = texts.into_iter().chain(["last".to_owned()]);
    let expected: Vec<_> = given.into_iter().map(|sequence| sequence.get().cast_signed()).zip(texts).collect();
    store.close().await.unwrap();
    let connection = rusqlite::Connection::open(folder.path().join("slipstream.db")).unwrap();
    // As the page for operators has it.
    let page = include_str!("../../../docs/sqlite.md");
    let view =
        page.split("```").find_map(|part| part.strip_prefix("sql\n").filter(|sql| sql.starts_with("CREATE"))).unwrap();
    connection.execute_batch(view).unwrap();
    let mut rows = connection.prepare("SELECT sequence, text FROM messages ORDER BY sequence").unwrap();
    let found = rows.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))).unwrap();
    let found: Vec<_> = found.map(Result::unwrap).collect();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert!(found == expected, "message {}: {} bytes, expected {}", found.0, found.1.len(), expected.1.len());
    }
}
