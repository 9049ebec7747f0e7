//! A transfer that was interrupted, one that begins anew, and who is kept out meanwhile.
#![expect(clippy::expect_used, reason = "a test says what it finds by panicking")]

mod stores;

use slipstream_conformance::fixture::*;
use slipstream_conformance::{Harness as _, Sandbox, history};
use slipstream_embedded::TableHoldings;
use slipstream_postgres::{PostgresMaking, PostgresStore};
use slipstream_store::{Horizon, MessageStore as _, StoreError};
use slipstream_transfer::transfer;
use stores::postgres::{holdings, made, made_of, options, server};
use stores::sqlite::{self, Sqlite};
use stores::view::{View, expect_same};

/// A store that a migration was killed in the middle of is refused by relays, and a new migration begins anew.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_left_unfinished_is_known_and_made_anew() {
    made("unfinished");
    let sandbox = Sandbox::new(Sqlite);
    let history = history(&sandbox, 3).await;
    let tables = sqlite::tables(&history.place).await;
    for messages in [0, 1, 7] {
        let making = PostgresMaking::begin(options("unfinished")).await.expect("it begins");
        let mut source = TableHoldings::new(&*tables);
        let (enough, mut done) = (tokio::sync::Notify::new(), 0);
        let mut count = |more| {
            done += more;
            if done == messages {
                enough.notify_one();
            }
        };
        if messages > 0 {
            tokio::select! {
                biased;
                () = enough.notified() => {}
                ended = transfer(&mut source, making.store(), &mut count) => unreachable!("it is ended before: {ended:?}"),
            }
        }
        drop(making);
        let refused = PostgresStore::open(options("unfinished")).await.map(drop);
        let is_said = |text: &str| text.contains("was not finished") && text.contains("start it again");
        assert!(matches!(&refused, Err(StoreError::Inaccessible(text)) if is_said(text)), "{refused:?}");
        let refused = holdings("unfinished").await.map(drop);
        assert!(matches!(&refused, Err(StoreError::Inaccessible(text)) if is_said(text)), "{refused:?}");
    }
    made_of(&mut TableHoldings::new(&*tables), "unfinished").await.expect("it begins anew");
    drop(tables);
    let source = Sqlite.open(&history.place).await.expect("it opens");
    let target = PostgresStore::open(options("unfinished")).await.expect("it is a store");
    expect_same(View::of(&source, &history).await, View::of(&target, &history).await, &history);
}

/// Nothing is made where there is a store, and none by two at once; one that is given up leaves nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_there_stays() {
    made("there");
    let store = PostgresStore::open(options("there")).await.expect("it opens");
    let refused = PostgresMaking::begin(options("there")).await.map(drop);
    assert!(matches!(refused, Err(StoreError::InUse(_))), "{refused:?}");
    remember_all(&store, &["a"]).await;
    for open in [true, false] {
        if !open {
            store.close().await.expect("it closes");
        }
        let refused = PostgresMaking::begin(options("there")).await.map(drop);
        assert!(matches!(refused, Err(StoreError::Inaccessible(_))), "{refused:?}");
    }
    let store = PostgresStore::open(options("there")).await.expect("it opens");
    assert!(remembered(&store, "a").await.is_some());

    // One in which there is nothing is none.
    made("empty");
    PostgresStore::open(options("empty")).await.expect("it opens").close().await.expect("it closes");
    let making = PostgresMaking::begin(options("empty")).await.expect("it begins");
    let refused = PostgresMaking::begin(options("empty")).await.map(drop);
    assert!(matches!(refused, Err(StoreError::InUse(_))), "{refused:?}");
    making.abandon().await.expect("it is given up");
    assert_eq!(server().sql("empty", "SELECT to_regnamespace('slipstream')"), "");
}

/// A source that a process has open is refused, and it goes on; one that was killed is not waited for longer than it is
/// silent. While a store is read, nobody writes to it or joins it.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_is_read_alone() {
    made("alone");
    let store = PostgresStore::open(options("alone")).await.expect("it opens");
    remember_all(&store, &["a"]).await;
    let beating = async {
        loop {
            shared(&store).beat().await.expect("it beats");
            tokio::task::yield_now().await;
        }
    };
    let refused = tokio::select! {
        () = beating => unreachable!("it beats on"),
        refused = holdings("alone") => refused.map(drop),
    };
    assert!(matches!(refused, Err(StoreError::InUse(_))), "{refused:?}");
    recorded(&store, message("m1", &["a"])).await;

    // It beats no more, as one that was killed, but it is not: what it writes later comes too late.
    let source = holdings("alone").await.expect("it is silent");
    let late = store.commit(std::sync::Arc::new(vec![put(message("m2", &["a"]))].into())).await;
    assert!(matches!(late, Err(StoreError::Busy(_))), "{late:?}");
    let late = store.purge(Horizon::NOTHING, std::num::NonZeroU32::MIN).await;
    assert!(matches!(late, Err(StoreError::Busy(_))), "{late:?}");
    let joined = PostgresStore::open(options("alone")).await.map(drop);
    assert!(matches!(joined, Err(StoreError::Busy(_))), "{joined:?}");
    source.are_whole().await.expect("it was kept out");
    drop(source);
    let joined = PostgresStore::open(options("alone")).await.expect("the lock is free");
    assert_eq!(owed(&joined, "a").await.len(), 1);
}
