//! What one read brings is taken in together. Each message in it is answered as if it had come alone, whatever stands
//! beside it and wherever a limit is met.
#![cfg(test)]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use slipstream::client::{Client, ClientOptions, Received};
use slipstream::clock::SystemClock;
use slipstream::link::TcpConnector;
use slipstream::listen::{AllowAll, Listener as _, TcpListener};
use slipstream::relay::StageLimits;
use slipstream::{Relay, Settings};
use slipstream_conformance::ModelStore;
use slipstream_store::PeerId;
use support::{FIN, TEXT, upgrade};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const MESSAGES: usize = 300;

/// No message, for three different reasons; the last has an id, by which it is refused.
const BAD: [&str; 3] = ["{", r#"{"type":"lower"}"#, r#"{"type":"SK","key":"k","messageId":"bad"}"#];

#[tokio::test]
async fn each_of_a_burst_is_answered_and_order_is_kept_wherever_a_limit_is_met() {
    let default = StageLimits::default();
    let few = StageLimits { commit_queue: 3, ..StageLimits::default() };
    // One message fits, two do not.
    let bytes = StageLimits { commit_queue_bytes: 400, ..StageLimits::default() };
    let tiny = StageLimits { commit_queue_bytes: 1, batch_operations: 1, ..StageLimits::default() };
    let unanswered = StageLimits { unanswered: 2, batch_operations: 7, ..StageLimits::default() };
    for stages in [default, few, bytes, tiny, unanswered] {
        let limits = format!("{stages:?}");
        let settings = Settings { stages, ..Settings::default() };
        timeout(Duration::from_secs(60), burst(settings)).await.unwrap_or_else(|_| panic!("no end with {limits}"));
    }
}

async fn burst(settings: Settings) {
    let store = Arc::new(ModelStore::in_memory());
    let relay = Relay::open(store, settings, Arc::new(SystemClock::new())).await.expect("a relay");
    let listener = TcpListener::bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let address = listener.local_addr().expect("an address");
    let shutdown = CancellationToken::new();
    let listener = Box::new(listener);
    let running = tokio::spawn(relay.run(Some(listener), Arc::new(AllowAll), Arc::new(TcpConnector), shutdown.clone()));
    let receiving = receive(address).await;

    let mut link = upgrade(address, "/?id=sender", &[]).await.expect("a link");
    for number in 0..MESSAGES {
        link.writer.text(&message(number));
        if number % 100 == 50 {
            BAD.iter().for_each(|text| link.writer.text(text));
        }
    }
    link.writer.flush().await.expect("sent at once");
    let (mut confirmed, mut refused) = (Vec::new(), Vec::new());
    while confirmed.len() < MESSAGES || refused.len() < 3 * BAD.len() {
        let frame = link.reader.frame().await.expect("an answer");
        assert_eq!(frame.first, FIN | TEXT);
        let answer: Value = serde_json::from_slice(&frame.payload).expect("JSON");
        let id = answer["messageId"].as_str().map(str::to_owned);
        if answer["type"] == "ACK" { confirmed.push(id.expect("an id")) } else { refused.push(id) }
    }
    let ids: Vec<String> = (0..MESSAGES).map(|number| format!("m{number}")).collect();
    assert_eq!(confirmed, ids);
    assert_eq!(refused, [None, None, Some("bad".to_owned())].iter().cycle().take(9).cloned().collect::<Vec<_>>());
    assert_eq!(receiving.await.expect("no panic"), ids);
    drop(link);
    shutdown.cancel();
    running.await.expect("no panic").expect("an end in order");
}

fn message(number: usize) -> String {
    let value = "v".repeat(number % 60);
    json!({"type": "SK", "key": "k", "value": value, "messageId": format!("m{number}")}).to_string()
}

/// Receives all messages, acknowledges each, and returns their ids.
async fn receive(address: SocketAddr) -> tokio::task::JoinHandle<Vec<String>> {
    let options = ClientOptions { id: Some(PeerId::new("receiver").expect("an id")), ..ClientOptions::default() };
    let client = Client::connect(&format!("ws://{address}/"), &options).await.expect("a link");
    tokio::spawn(async move {
        let (mut acks, mut deliveries) = client.split();
        let mut ids = Vec::new();
        while ids.len() < MESSAGES {
            let Some(Ok(Received::Text(text))) = deliveries.next().await else { panic!("the link ended") };
            let delivery: Value = serde_json::from_slice(&text).expect("JSON");
            let id = delivery["messageId"].as_str().expect("an id").to_owned();
            acks.send(&json!({"type": "ACK", "messageId": id}).to_string()).await.expect("sent");
            acks.flush().await.expect("flushed");
            ids.push(id);
        }
        ids
    })
}
