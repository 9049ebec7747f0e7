//! A relay whose store fails: the sender is told the truth, and nothing that was confirmed is lost.
//!
//! The relay runs in this process, over the model store, so that chosen calls can be made to fail.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what it finds by panicking")]

use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use slipstream::client::{Client, ClientOptions, ClientReceiver, ClientSender, Received};
use slipstream::clock::SystemClock;
use slipstream::link::TcpConnector;
use slipstream::listen::{AllowAll, Listener as _, TcpListener};
use slipstream::relay::{BacklogLimit, BacklogPolicy};
use slipstream::store::{MessageStore as _, PeerId, StoreError, Tag};
use slipstream::{Relay, RelayError, Settings};
use slipstream_conformance::{Call, FaultStore, Faults, ModelMedium, ModelStore, When};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const LIMIT: Duration = Duration::from_secs(60);

struct Fixture {
    url: String,
    faults: Faults,
    store: Arc<FaultStore<ModelStore>>,
    shutdown: CancellationToken,
    running: JoinHandle<Result<(), RelayError>>,
}

impl Fixture {
    async fn start() -> Self {
        Self::start_with(Settings::default()).await
    }

    async fn start_with(settings: Settings) -> Self {
        let model = ModelStore::open(&ModelMedium::default(), Path::new("model")).unwrap();
        let (store, faults) = FaultStore::new(model);
        let store = Arc::new(store);
        let relay = Relay::open(Arc::clone(&store), settings, Arc::new(SystemClock::new())).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(relay.run(
            Some(Box::new(listener)),
            Arc::new(AllowAll),
            Arc::new(TcpConnector),
            shutdown.clone(),
        ));
        Self { url, faults, store, shutdown, running }
    }

    async fn connect(&self, id: &str) -> Application {
        let options = ClientOptions { id: Some(PeerId::new(id).unwrap()), ..ClientOptions::default() };
        let (sender, receiver) = Client::connect(&self.url, &options).await.unwrap().split();
        Application { sender, receiver }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(LIMIT, self.running).await.unwrap().unwrap().unwrap();
    }
}

struct Application {
    sender: ClientSender,
    receiver: ClientReceiver,
}

impl Application {
    async fn publish(&mut self, id: &str) -> Value {
        self.send(&json!({"type": "SK", "key": "k", "value": id, "messageId": id})).await;
        self.next().await
    }

    async fn send(&mut self, message: &Value) {
        self.sender.send(&message.to_string()).await.unwrap();
        self.sender.flush().await.unwrap();
    }

    async fn next(&mut self) -> Value {
        match tokio::time::timeout(LIMIT, self.receiver.next()).await.expect("something comes").unwrap().unwrap() {
            Received::Text(text) => serde_json::from_slice(&text).unwrap(),
            closed @ Received::Closed { .. } => panic!("{closed:?}"),
        }
    }

    async fn take(&mut self) -> String {
        let message = self.next().await;
        self.send(&json!({"type": "ACK", "messageId": message["messageId"]})).await;
        message["messageId"].as_str().unwrap().to_owned()
    }
}

fn full() -> StoreError {
    StoreError::Full("no room".to_owned())
}

#[tokio::test]
async fn a_full_store_refuses_the_message_and_takes_the_next_one() {
    let fixture = Fixture::start().await;
    let (mut shop, mut warehouse) = (fixture.connect("shop").await, fixture.connect("warehouse").await);
    fixture.faults.fail_next(Call::Commit, full(), When::Before);
    let refusal = shop.publish("m1").await;
    assert_eq!((&refusal["type"], &refusal["code"]), (&json!("NACK"), &json!("storage_unavailable")), "{refusal}");
    assert_eq!(refusal["messageId"], "m1");
    assert_eq!(shop.publish("m2").await["type"], "ACK");
    assert_eq!(warehouse.take().await, "m2");
    // The refused one was not stored, so that it may come again.
    assert_eq!(shop.publish("m1").await["type"], "ACK");
    assert_eq!(warehouse.take().await, "m1");
    fixture.stop().await;
}

#[tokio::test]
async fn a_busy_store_is_asked_again() {
    let fixture = Fixture::start().await;
    let mut shop = fixture.connect("shop").await;
    for _ in 0..3 {
        fixture.faults.fail_next(Call::Commit, StoreError::Busy("locked".to_owned()), When::Before);
    }
    assert_eq!(shop.publish("m1").await["type"], "ACK");
    fixture.stop().await;
}

#[tokio::test]
async fn an_unclear_commit_is_confirmed_once_it_is_clear_and_still_forwarded() {
    for when in [When::Before, When::After] {
        let fixture = Fixture::start().await;
        let (mut shop, mut warehouse) = (fixture.connect("shop").await, fixture.connect("warehouse").await);
        fixture.faults.fail_next(Call::Commit, StoreError::Indeterminate("cut off".to_owned()), when);
        assert_eq!(shop.publish("m1").await["type"], "ACK", "{when:?}");
        assert_eq!(warehouse.take().await, "m1", "{when:?}");
        assert_eq!(shop.publish("m2").await["type"], "ACK", "{when:?}");
        assert_eq!(warehouse.take().await, "m2", "{when:?}");
        fixture.stop().await;
    }
}

/// What may have been recorded is handed over before anything newer, also if the store can be neither written nor read for a
/// while after the unclear commit.
#[tokio::test]
async fn what_an_unclear_commit_recorded_comes_before_what_is_newer() {
    let fixture = Fixture::start().await;
    let (mut shop, mut warehouse) = (fixture.connect("shop").await, fixture.connect("warehouse").await);
    let event = |id: &str| json!({"type": "EVENT", "value": id, "messageId": id});
    shop.send(&event("m0")).await;
    assert_eq!((warehouse.take().await.as_str(), &shop.next().await["type"]), ("m0", &json!("ACK")));
    let gone = || StoreError::Unavailable("gone".to_owned());
    fixture.faults.fail_next(Call::Commit, StoreError::Indeterminate("cut off".to_owned()), When::After);
    fixture.faults.fail_next(Call::Commit, gone(), When::Before);
    fixture.faults.fail_next(Call::Roster, gone(), When::Before);
    shop.send(&event("m1")).await;
    assert_eq!(shop.next().await["code"], "storage_unavailable");
    for id in ["m2", "m3"] {
        shop.send(&event(id)).await;
        assert_eq!(shop.next().await["type"], "ACK");
    }
    assert_eq!([warehouse.take().await, warehouse.take().await, warehouse.take().await], ["m1", "m2", "m3"]);
    fixture.stop().await;
}

#[tokio::test]
async fn acknowledgements_survive_a_store_without_room() {
    let fixture = Fixture::start().await;
    let (mut shop, mut warehouse) = (fixture.connect("shop").await, fixture.connect("warehouse").await);
    assert_eq!(shop.publish("m1").await["type"], "ACK");
    // Both tries to settle fail; the third, after a pause, does not.
    fixture.faults.fail_next(Call::Commit, full(), When::Before);
    fixture.faults.fail_next(Call::Commit, full(), When::Before);
    assert_eq!(warehouse.take().await, "m1");
    let settled = async {
        while fixture.store.stats().await.unwrap().pending > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, settled).await.expect("the acknowledgement is committed in the end");
    fixture.stop().await;
}

#[tokio::test]
async fn nothing_is_confirmed_while_the_store_has_not_answered() {
    let fixture = Fixture::start().await;
    let (mut shop, mut warehouse) = (fixture.connect("shop").await, fixture.connect("warehouse").await);
    let mut held = fixture.faults.hold(Call::Commit);
    shop.send(&json!({"type": "SK", "key": "k", "value": 1, "messageId": "m1"})).await;
    held.arrived(1).await;
    let early = tokio::select! {
        biased;
        answer = shop.next() => Some(answer),
        message = warehouse.next() => Some(message),
        () = tokio::task::yield_now() => None,
    };
    assert_eq!(early, None, "confirmed or forwarded before it was durable");
    drop(held);
    assert_eq!(shop.next().await["type"], "ACK");
    assert_eq!(warehouse.take().await, "m1");
    fixture.stop().await;
}

#[tokio::test]
async fn a_poisoned_store_ends_the_relay_and_the_message_is_refused() {
    let fixture = Fixture::start().await;
    let mut shop = fixture.connect("shop").await;
    fixture.faults.fail_next(Call::Commit, StoreError::Poisoned("the sync failed".to_owned()), When::Before);
    assert_eq!(shop.publish("m1").await["code"], "storage_unavailable");
    let ended = tokio::time::timeout(LIMIT, fixture.running).await.expect("the relay ends").unwrap();
    assert!(matches!(ended, Err(RelayError::Store(StoreError::Poisoned(_)))), "{ended:?}");
}

/// Whoever starts the relay again must see why it ended, whatever was unclear before.
#[tokio::test]
async fn a_relay_that_is_shut_out_after_an_unclear_commit_says_that_it_was() {
    let fixture = Fixture::start().await;
    let mut shop = fixture.connect("shop").await;
    fixture.faults.fail_next(Call::Commit, StoreError::Indeterminate("cut off".to_owned()), When::After);
    fixture.faults.fail_next(Call::Commit, StoreError::Retired, When::Before);
    assert_eq!(shop.publish("m1").await["code"], "storage_unavailable");
    let ended = tokio::time::timeout(LIMIT, fixture.running).await.unwrap().unwrap();
    assert!(matches!(ended, Err(RelayError::Store(StoreError::Retired))), "{ended:?}");
}

#[tokio::test]
async fn a_store_that_cannot_be_purged_ends_the_relay() {
    let fixture = Fixture::start().await;
    fixture.faults.fail_next(Call::Purge, StoreError::Corrupted("a page is torn".to_owned()), When::Before);
    let ended = tokio::time::timeout(LIMIT, fixture.running).await.expect("the relay ends").unwrap();
    assert!(matches!(ended, Err(RelayError::Store(StoreError::Corrupted(_)))), "{ended:?}");
}

#[tokio::test]
async fn what_was_confirmed_is_kept_for_a_peer_that_was_away() {
    let fixture = Fixture::start().await;
    let mut shop = fixture.connect("shop").await;
    drop(fixture.connect("warehouse").await);
    for number in 0..3000 {
        let id = format!("m{number}");
        let text = json!({"type": "SK", "key": id, "value": number, "messageId": id}).to_string();
        shop.sender.send(&text).await.unwrap();
    }
    shop.sender.flush().await.unwrap();
    for _ in 0..3000 {
        assert_eq!(shop.next().await["type"], "ACK");
    }
    let mut warehouse = fixture.connect("warehouse").await;
    for number in 0..3000 {
        assert_eq!(warehouse.take().await, format!("m{number}"));
    }
    fixture.stop().await;
}

#[tokio::test]
async fn a_backlog_is_trimmed_though_the_store_could_not_be_read_at_first_or_is_full() {
    let limit = BacklogLimit { deliveries: NonZeroU64::new(2).unwrap(), policy: BacklogPolicy::DropOldest };
    let fixture = Fixture::start_with(Settings { backlog: Some(limit), ..Settings::default() }).await;
    let (mut shop, warehouse) = (fixture.connect("shop").await, fixture.connect("warehouse").await);
    drop(warehouse);
    fixture.faults.fail_next(Call::Pending, StoreError::Busy("locked".to_owned()), When::Before);
    for number in 0..6 {
        assert_eq!(shop.publish(&format!("m{number}")).await["type"], "ACK");
    }
    // What is to be given up is refused a few times, and given up all the same.
    for _ in 0..3 {
        fixture.faults.fail_next(Call::Commit, full(), When::Before);
    }
    let trimmed = async {
        while fixture.store.stats().await.unwrap().dead_letters < 4 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, trimmed).await.expect("the oldest are given up");
    let stats = fixture.store.stats().await.unwrap();
    assert_eq!((stats.dead_letters, stats.pending), (4, 2));
    fixture.stop().await;
}

#[tokio::test]
async fn a_peer_that_comes_back_drains_though_the_store_cannot_write() {
    let fixture = Fixture::start().await;
    let (mut shop, warehouse) = (fixture.connect("shop").await, fixture.connect("warehouse").await);
    drop(warehouse);
    assert_eq!(shop.publish("m1").await["type"], "ACK");
    let errors: [fn() -> StoreError; 2] = [full, || StoreError::Unavailable("it was removed".to_owned())];
    for error in errors {
        // Its link, a message, and what becomes of it; more than there will be.
        (0..1000).for_each(|_| fixture.faults.fail_next(Call::Commit, error(), When::Before));
        assert_eq!(shop.publish("m2").await["code"], "storage_unavailable");
        let mut warehouse = fixture.connect("warehouse").await;
        assert_eq!(warehouse.next().await["messageId"], "m1");
        let tagged = ClientOptions {
            id: Some(PeerId::new("warehouse").unwrap()),
            tags: vec![Tag::new("new").unwrap()],
            ..ClientOptions::default()
        };
        let (_sender, mut receiver) = Client::connect(&fixture.url, &tagged).await.unwrap().split();
        let next = tokio::time::timeout(LIMIT, receiver.next()).await.expect("something comes").unwrap().unwrap();
        assert!(matches!(next, Received::Text(_)), "{next:?}");
        fixture.faults.clear();
    }
    fixture.stop().await;
}
