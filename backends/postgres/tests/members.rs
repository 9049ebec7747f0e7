//! What members of a store wait for: nothing that one of them has begun is done after another has taken its place.
#![expect(clippy::expect_used, reason = "a test says what it finds by panicking")]

mod postgres;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use postgres::{Postgres, name, server};
use slipstream_conformance::Harness as _;
use slipstream_conformance::fixture::*;
use slipstream_postgres::PostgresStore;
use slipstream_store::{Member, MessageStore as _, Operation, Outcome, Owed, StoreError};
use tokio::task::JoinHandle;

/// Two members, and a commit of the first that notes an attempt for a peer and waits within.
struct Waiting {
    database: String,
    one: Arc<PostgresStore>,
    two: Arc<PostgresStore>,
    commit: JoinHandle<Vec<Outcome>>,
    blocker: tokio_postgres::Client,
}

impl Waiting {
    async fn begin(place: &str) -> Self {
        let open = async || Arc::new(Postgres.open(Path::new(place)).await.expect("the store opens"));
        let (one, two, database) = (open().await, open().await, name(Path::new(place)));
        remember_all(&*one, &["a"]).await;
        let sequence = recorded(&*one, message("m1", &["a"])).await;
        shared(&*one).claim(&peer("a")).await.expect("it is claimed");
        let (blocker, connection) =
            tokio_postgres::connect(&server().url(&database), tokio_postgres::NoTls).await.expect("it connects");
        tokio::spawn(connection);
        blocker.batch_execute("BEGIN; SELECT FROM slipstream.owed FOR UPDATE").await.expect("what is owed is locked");
        let store = Arc::clone(&one);
        let commit = tokio::spawn(async move { commit(&*store, vec![attempt("a", sequence, 1)]).await });
        let waiting = Self { database, one, two, commit, blocker };
        waiting.until_waits("commit").await;
        waiting
    }

    /// Waits until a function of the schema waits for a lock.
    async fn until_waits(&self, function: &str) {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND query LIKE '%slipstream.{function}(%' \
             AND state = 'active' AND wait_event_type = 'Lock'",
            self.database
        );
        let deadline = Instant::now() + Duration::from_secs(60);
        while server().sql("postgres", &sql) != "1" {
            assert!(Instant::now() < deadline, "{function} waits for nothing");
            tokio::task::yield_now().await;
        }
    }

    /// Lets the commit end, which then counts.
    async fn let_end(self) -> [Arc<PostgresStore>; 2] {
        self.blocker.batch_execute("COMMIT").await.expect("what is owed is free");
        assert_eq!(self.commit.await.expect("the commit ends"), [Outcome::Applied]);
        [self.one, self.two]
    }
}

async fn as_it_stands(store: &PostgresStore) -> Member {
    let members = shared(store).beat().await.expect("it is a member");
    *members.iter().find(|member| member.id == shared(store).member()).expect("it is among the members")
}

/// A claim waits for what its former holder has begun to decide.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_waits_for_a_commit_of_the_former_holder() {
    let waiting = Waiting::begin("claim_waits").await;
    let claiming = {
        let two = Arc::clone(&waiting.two);
        tokio::spawn(async move { shared(&*two).claim(&peer("a")).await })
    };
    waiting.until_waits("claim").await;
    let [one, two] = waiting.let_end().await;
    claiming.await.expect("the call ends").expect("it is claimed").expect("the peer is remembered");
    let pending = &backlog(&*two, "a").await[0];
    assert_eq!(pending.attempts, 1);
    assert_eq!(commit_one(&*one, attempt("a", pending.sequence, 2)).await, Outcome::Unchanged);
}

/// A member whose commit waits beats, claims and hears all the same. Whoever retires it waits for the commit.
#[tokio::test(flavor = "multi_thread")]
async fn retiring_waits_for_a_commit_of_the_member() {
    let waiting = Waiting::begin("retire_waits").await;
    let before = as_it_stands(&waiting.one).await;
    let stands = as_it_stands(&waiting.one).await;
    assert!(before.beats < stands.beats);
    assert_eq!(shared(&*waiting.one).take_duty("to dial").await, Ok(true));
    shared(&*waiting.one).news(Duration::ZERO).await.expect("news are read");
    let retiring = {
        let two = Arc::clone(&waiting.two);
        tokio::spawn(async move { shared(&*two).retire(stands).await })
    };
    waiting.until_waits("retire").await;
    let [one, two] = waiting.let_end().await;
    assert_eq!(retiring.await.expect("the call ends"), Ok(true));
    let pending = &backlog(&*two, "a").await[0];
    assert_eq!(pending.attempts, 1, "what was under way is done");
    let late = one.commit(Arc::new(vec![attempt("a", pending.sequence, 2)].into())).await;
    assert_eq!(late, Err(StoreError::Retired));
}

/// An adoption makes older deliveries a peer's: others are told, also once they have read all there was.
#[tokio::test(flavor = "multi_thread")]
async fn news_tell_of_an_adoption() {
    let open = async || Postgres.open(Path::new("adoption")).await.expect("the store opens");
    let (one, two) = (open().await, open().await);
    remember_all(&one, &["a"]).await;
    recorded(&one, message("m1", &["a"])).await;
    shared(&two).news(Duration::ZERO).await.expect("news are read");
    let adopted = Operation::AdoptPeer { alias: peer("a"), peer: Box::new(application("b")) };
    assert_eq!(commit_one(&one, adopted).await, Outcome::Applied);
    let news = shared(&two).news(Duration::ZERO).await.expect("news are read");
    assert!(news.owed.includes(&peer("b")) && news.roster.is_some(), "{news:?}");
    recorded(&two, message("m2", &["b"])).await;
    assert!(shared(&two).interleaved().includes(&peer("b")));
    assert_eq!(shared(&two).interleaved(), Owed::NOBODY);
}

/// What repeats messages that are there takes no number from which others would have to guess.
#[tokio::test(flavor = "multi_thread")]
async fn duplicates_are_no_news() {
    let open = async || Postgres.open(Path::new("duplicates")).await.expect("the store opens");
    let (one, two) = (open().await, open().await);
    remember_all(&one, &["a", "b"]).await;
    recorded(&one, message("m1", &["a"])).await;
    shared(&two).news(Duration::ZERO).await.expect("news are read");
    assert_eq!(commit_one(&one, put(message("m1", &["a"]))).await, BY_IDENTITY);
    commit(&one, vec![redrive("a", never_given())]).await;
    recorded(&one, message("m2", &["b"])).await;
    let news = shared(&two).news(Duration::ZERO).await.expect("news are read");
    assert_eq!(news.owed, Owed::Peers(vec![peer("b")]));
}

/// Once a member knows of others, it notifies them of what it has recorded, and not before.
#[tokio::test(flavor = "multi_thread")]
async fn others_are_notified() {
    let open = async || Postgres.open(Path::new("notified")).await.expect("the store opens");
    let one = open().await;
    let (listener, mut connection) =
        tokio_postgres::connect(&server().url(&name(Path::new("notified"))), tokio_postgres::NoTls)
            .await
            .expect("it connects");
    let (told, mut heard) = tokio::sync::mpsc::channel(16);
    tokio::spawn(async move {
        while let Some(message) = std::future::poll_fn(|context| connection.poll_message(context)).await {
            if let Ok(tokio_postgres::AsyncMessage::Notification(notification)) = message {
                let _ = told.try_send(notification.channel().to_owned());
            }
        }
    });
    listener.batch_execute("LISTEN slipstream").await.expect("it listens");
    remember_all(&one, &["a"]).await;
    shared(&one).beat().await.expect("it beats");
    recorded(&one, message("m1", &["a"])).await;
    listener.batch_execute("SELECT").await.expect("it answers");
    assert!(heard.is_empty(), "there is nobody to be notified");
    let _other = open().await;
    shared(&one).beat().await.expect("it beats");
    recorded(&one, message("m2", &["a"])).await;
    let channel = tokio::time::timeout(Duration::from_secs(60), heard.recv()).await;
    assert_eq!(channel.expect("it is notified").as_deref(), Some("slipstream"));
}

/// News come over a notification sooner than by looking for them. Of many the middle counts, for a machine may be busy.
#[tokio::test(flavor = "multi_thread")]
async fn news_come_at_once() {
    let open = async || Arc::new(Postgres.open(Path::new("at_once")).await.expect("the store opens"));
    let (one, two) = (open().await, open().await);
    remember_all(&*one, &["a"]).await;
    shared(&*one).beat().await.expect("it beats");
    let mut times = Vec::new();
    for n in 0..31 {
        while shared(&*two).news(Duration::ZERO).await.expect("news are read").owed != Owed::NOBODY {}
        let waiting = {
            let two = Arc::clone(&two);
            tokio::spawn(async move {
                while shared(&*two).news(Duration::from_secs(60)).await.expect("news are read").owed == Owed::NOBODY {}
                Instant::now()
            })
        };
        recorded(&*one, message(&format!("m{n}"), &["a"])).await;
        let begun = Instant::now();
        times.push(waiting.await.expect("the call ends").saturating_duration_since(begun));
    }
    times.sort();
    println!("news come after {:?}, {:?} at most", times[15], times[30]);
    assert!(times[15] < Duration::from_millis(20), "{times:?}");
}
