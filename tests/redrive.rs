//! What an operator does with dead letters while the relay runs: the relay in this process, over real sockets and SQLite.

#![cfg(test)]

use std::sync::Arc;
use std::time::Duration;

use slipstream::client::{Client, ClientOptions, ClientReceiver, Received};
use slipstream::clock::SystemClock;
use slipstream::config::Engine;
use slipstream::link::TcpConnector;
use slipstream::listen::{Listener as _, TcpListener};
use slipstream::relay::Operator;
use slipstream::store::{DeadLetterFilter, Durability, MessageStore, PageLimit, PeerId};
use slipstream::{Relay, RelayError, Settings, backend};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const GENEROUS: Duration = Duration::from_secs(60);

struct Running {
    url: String,
    store: Arc<dyn MessageStore>,
    operator: Operator<dyn MessageStore>,
    shutdown: CancellationToken,
    ended: JoinHandle<Result<(), RelayError>>,
    _folder: tempfile::TempDir,
}

impl Running {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = backend::open(Engine::Sqlite, &folder.path().join("store"), Durability::Full).unwrap();
        let clock = Arc::new(SystemClock::new());
        let relay = Relay::open(Arc::clone(&store), Settings::default(), clock).await.unwrap();
        let operator = relay.operator();
        let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let ended = tokio::spawn(relay.run(Some(Box::new(listener)), Arc::new(TcpConnector), shutdown.clone()));
        Self { url, store, operator, shutdown, ended, _folder: folder }
    }

    async fn connect(&self, id: &str) -> Client {
        let options = ClientOptions { id: Some(peer(id)), ..ClientOptions::default() };
        Client::connect(&self.url, &options).await.unwrap()
    }

    /// The sequences of the dead letters of a peer, once there are `count`.
    async fn dead(&self, id: &str, count: usize) -> Vec<slipstream::store::Sequence> {
        let of_peer = DeadLetterFilter { peer: Some(peer(id)), ..DeadLetterFilter::default() };
        tokio::time::timeout(GENEROUS, async {
            loop {
                let page =
                    self.store.dead_letters(&of_peer, None, PageLimit::items(std::num::NonZeroU32::MAX)).await.unwrap();
                if page.items.len() == count {
                    return page.items.into_iter().map(|dead| dead.sequence).collect();
                }
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap()
    }
}

fn peer(id: &str) -> PeerId {
    PeerId::new(id).unwrap()
}

async fn message(receiver: &mut ClientReceiver) -> serde_json::Value {
    match tokio::time::timeout(GENEROUS, receiver.next()).await.unwrap().unwrap().unwrap() {
        Received::Text(text) => serde_json::from_slice(&text).unwrap(),
        other => panic!("expected a text, got {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redriven_dead_letter_reaches_a_linked_peer_at_once() {
    let running = Running::start().await;
    let (mut orders, _confirms) = running.connect("shop").await.split();
    let (mut answers, mut deliveries) = running.connect("warehouse").await.split();
    for number in 1..=3 {
        orders.send(&format!(r#"{{"type":"SK","key":"k{number}","value":{number}}}"#)).await.unwrap();
        orders.flush().await.unwrap();
        let id = message(&mut deliveries).await["messageId"].as_str().unwrap().to_owned();
        answers.send(&format!(r#"{{"type":"NACK","messageId":"{id}","reason":"no","code":"invalid"}}"#)).await.unwrap();
        answers.flush().await.unwrap();
    }
    let dead = running.dead("warehouse", 3).await;

    // Nothing else is sent, so only the redrive can bring it.
    let redriven = running.operator.redrive(&peer("warehouse"), dead[1]).await.unwrap();
    assert!(redriven > Some(dead[2]));
    assert_eq!(message(&mut deliveries).await["value"], 2);
    assert_eq!(
        running.operator.redrive(&peer("warehouse"), dead[1]).await.unwrap(),
        None,
        "it is no dead letter any more"
    );

    assert!(running.operator.discard(&peer("warehouse"), dead[0]).await.unwrap());
    assert!(!running.operator.discard(&peer("warehouse"), dead[0]).await.unwrap());
    assert_eq!(running.dead("warehouse", 1).await, dead[2..]);

    assert!(!running.operator.forget(&peer("warehouse")).await.unwrap(), "it has a link");
    assert!(running.operator.forget(&peer("nobody")).await.unwrap());

    // The handle does not keep the relay running.
    running.shutdown.cancel();
    drop((orders, answers, deliveries));
    tokio::time::timeout(GENEROUS, running.ended).await.unwrap().unwrap().unwrap();
    assert!(running.operator.redrive(&peer("warehouse"), dead[2]).await.is_err());
}
