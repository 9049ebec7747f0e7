//! A subscriber far behind catches up while live traffic to others goes on.

#![cfg(test)]

mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use support::{Event, Peer, Relay, event, number_from_environment};
use tokio::sync::watch;

/// How far it is behind where the environment names nothing.
const BEHIND: u64 = 50_000;

/// Most messages that are sent and not confirmed, and that one ACK settles.
const UNCONFIRMED: u64 = 4_096;
const ACK_BATCH: usize = 256;

async fn fill(relay: &Relay, messages: u64) {
    let Peer { link, .. } = Peer::connect_with(relay, "id=filler", &[("Slipstream-Accept", "ack-batch")]).await;
    let (mut reader, mut writer) = (link.reader, link.writer);
    let (mut sent, mut confirmed) = (0, 0);
    let value = "v".repeat(150);
    while confirmed < messages {
        while sent < messages && sent - confirmed < UNCONFIRMED {
            let id = format!("{sent:010}");
            let message = json!({"type": "EVENT", "messageId": id, "value": value, "targetedTags": ["behind"]});
            writer.text(&message.to_string());
            sent += 1;
        }
        writer.flush().await.expect("the link is up");
        if let Event::Answer(answer) = event(&mut reader).await {
            assert_eq!(answer["type"], "ACK", "{answer}");
            confirmed += answer["messageIds"].as_array().map_or(1, |ids| ids.len() as u64);
        }
    }
}

/// Takes everything in order, slowly enough to be seen at it: it answers in batches.
async fn drain(mut peer: Peer, messages: u64) {
    let mut ids = Vec::with_capacity(ACK_BATCH);
    for number in 0..messages {
        let message = peer.message().await;
        assert_eq!(message.id(), format!("{number:010}"), "in order, and once");
        ids.push(message.id().to_owned());
        if ids.len() == ACK_BATCH || number + 1 == messages {
            peer.send(json!({"type": "ACK", "messageIds": ids, "clusterGroupId": "singleton"})).await;
            ids.clear();
        }
    }
}

/// Passes messages one by one from `sender` to `receiver` until told to stop, at least `least`; answers how long each took.
async fn live(
    (sender, receiver): (&mut Peer, &mut Peer),
    name: &str,
    least: usize,
    mut stop: watch::Receiver<bool>,
) -> Vec<Duration> {
    let mut took = Vec::new();
    while took.len() < least || !*stop.borrow_and_update() {
        let id = format!("{name}-{}", took.len());
        let began = Instant::now();
        sender.send(json!({"type": "EVENT", "messageId": id, "targetedTags": ["live"]})).await;
        assert_eq!(receiver.take().await.id(), id);
        took.push(began.elapsed());
        assert_eq!(sender.answer().await["messageId"], *id);
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
    fill(&relay, behind).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let mut receiver = Peer::connect(&relay, "id=receiver&tags=live").await;
    let (stop, stopped) = watch::channel(true);
    let before = live((&mut sender, &mut receiver), "before", 500, stopped.clone()).await;
    stop.send_replace(false);
    let peer = Peer::connect(&relay, "id=behind&tags=behind").await;
    let draining = tokio::spawn(async move {
        drain(peer, behind).await;
        stop.send_replace(true);
    });
    let during = live((&mut sender, &mut receiver), "during", 500, stopped).await;
    draining.await.expect("it gets everything in order");
    relay.metric_becomes(r#"slipstream_backlog{peer="behind"}"#, 0.0).await;
    tell("before", &before);
    tell("while another drains", &during);
    relay.assert_small("while one drained and others went on");
}
