//! A subscriber far behind catches up while live traffic to others goes on.

#![cfg(test)]

mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use support::{Peer, Relay, bulk_id, drain_part, fill, number_from_environment, within};
use tokio::sync::watch;

/// How far it is behind where the environment names nothing.
const BEHIND: u64 = 50_000;

/// Into how many parts its catching up is divided. While each lasts at least one live message must pass: it takes up no
/// further part before.
const PARTS: u64 = 10;

/// A message to the one that is behind.
fn message(number: u64) -> String {
    let (id, value) = (bulk_id(number), "v".repeat(150));
    json!({"type": "EVENT", "messageId": id, "value": value, "targetedTags": ["behind"]}).to_string()
}

/// Passes messages one by one from `sender` to `receiver` until told to stop, `least` or more, and tells of each in
/// `passed`; answers how long each took.
async fn live(
    (sender, receiver): (&mut Peer, &mut Peer),
    name: &str,
    least: usize,
    mut stop: watch::Receiver<bool>,
    passed: &watch::Sender<usize>,
) -> Vec<Duration> {
    let mut took = Vec::new();
    while took.len() < least || !*stop.borrow_and_update() {
        let id = format!("{name}-{}", took.len());
        let began = Instant::now();
        sender.send(json!({"type": "EVENT", "messageId": id, "targetedTags": ["live"]})).await;
        assert_eq!(receiver.take().await.id(), id);
        took.push(began.elapsed());
        assert_eq!(sender.answer().await["messageId"], *id);
        passed.send_replace(took.len());
    }
    took.sort();
    took
}

fn tell(what: &str, took: &[Duration]) {
    let at = |part: usize| took[(took.len() - 1) * part / 1_000];
    println!("{what}: {} messages, p50 {:?}, p99 {:?}, max {:?}", took.len(), at(500), at(990), at(1_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_far_behind_catches_up_while_others_go_on() {
    let behind = number_from_environment("SLIPSTREAM_CATCH_UP_MESSAGES").unwrap_or(BEHIND);
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--enable-message-logs=false"]).await;
    drop(Peer::connect(&relay, "id=behind&tags=behind").await);
    fill(&relay, behind, message).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let mut receiver = Peer::connect(&relay, "id=receiver&tags=live").await;
    let (stop, stopped) = watch::channel(true);
    let (passed, mut passing) = watch::channel(0);
    let before = live((&mut sender, &mut receiver), "before", 500, stopped.clone(), &passed).await;
    stop.send_replace(false);
    passed.send_replace(0);
    let mut peer = Peer::connect(&relay, "id=behind&tags=behind").await;
    let draining = tokio::spawn(async move {
        for part in 0..PARTS {
            let before = *passing.borrow();
            drain_part(&mut peer, behind * part / PARTS..behind * (part + 1) / PARTS).await;
            let one_more = passing.wait_for(|passed| *passed > before);
            within("a live message while another is behind", one_more).await.expect("they go on");
        }
        stop.send_replace(true);
    });
    let during = live((&mut sender, &mut receiver), "during", 1, stopped, &passed).await;
    draining.await.expect("it gets everything in order");
    relay.metric_becomes(r#"slipstream_backlog{peer="behind"}"#, 0.0).await;
    tell("before", &before);
    tell("while another drains", &during);
    relay.assert_small("while one drained and others went on");
}
