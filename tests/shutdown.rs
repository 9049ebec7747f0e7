//! How a relay ends (PROTOCOL: "Transport"; OPERATING: `SLIPSTREAM_SHUTDOWN_TIMEOUT`).

#![cfg(test)]

mod support;

use serde_json::json;
use support::{CLOSE, Event, FIN, Peer, Relay, Signal, event, within};

#[tokio::test]
async fn a_stop_under_load_keeps_what_was_confirmed_and_says_goodbye() {
    let folder = tempfile::tempdir().expect("a folder");
    // More than a megabyte of answers may stand in the sockets before the Close, and a loopback whose window was full
    // can take seconds for them.
    let arguments = ["--enable-message-logs=false", "--shutdown-timeout", "60s"];
    let mut relay = Relay::start(folder.path(), &arguments).await;
    drop(Peer::connect(&relay, "id=receiver").await);
    let Peer { link, .. } = Peer::connect(&relay, "id=sender").await;
    let (mut reader, mut writer) = (link.reader, link.writer);
    let writing = tokio::spawn(async move {
        for number in 0.. {
            writer.text(&json!({"type": "EVENT", "messageId": format!("{number}")}).to_string());
            // The relay reads on and discards, so that this ends with the link and not before.
            if writer.waiting() > 16 * 1024 && writer.flush().await.is_err() {
                return;
            }
        }
    });
    let mut confirmed = Vec::new();
    let closed = loop {
        match within("the next answer", event(&mut reader)).await {
            Event::Answer(answer) => confirmed.push(answer["messageId"].as_str().expect("an id").to_owned()),
            Event::Closed(code, reason) => break (code, reason),
            Event::Ping(_) => {}
            other => panic!("{other:?}"),
        }
        if confirmed.len() == 2000 {
            relay.process.signal(Signal::TERM);
        }
    };
    assert_eq!(closed.0, 1001, "{}", closed.1);
    writing.abort();
    drop(reader);
    let status = relay.process.end().await;
    assert_eq!(status.code(), Some(0), "{}", relay.process.stderr());

    let relay = Relay::start(folder.path(), &["--enable-message-logs=false"]).await;
    let mut receiver = Peer::connect(&relay, "id=receiver").await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    sender.publish(r#"{"type":"EVENT","messageId":"fence"}"#).await;
    let mut got = std::collections::HashSet::new();
    let mut count = 0;
    loop {
        let message = receiver.take().await;
        if message.id() == "fence" {
            break;
        }
        assert_eq!(message.id(), count.to_string(), "in order, once");
        count += 1;
        got.insert(message.id().to_owned());
    }
    for id in &confirmed {
        assert!(got.contains(id), "{id} was confirmed and is lost; {} of {} came", got.len(), confirmed.len());
    }
}

#[tokio::test]
async fn each_signal_stops_it_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    for signal in [Signal::TERM, Signal::INT] {
        let mut relay = Relay::start(folder.path(), &[]).await;
        let mut peer = Peer::connect(&relay, "id=a").await;
        peer.publish(json!({"type": "EVENT"})).await;
        relay.process.signal(signal);
        assert_eq!(peer.closed().await.0, 1001);
        drop(peer);
        assert_eq!(relay.process.end().await.code(), Some(0), "{}", relay.process.stderr());
        assert!(support::upgrade(relay.links, "/?id=b", &[]).await.is_err());
    }
}

#[tokio::test]
async fn a_peer_that_does_not_answer_the_close_holds_the_stop_up_to_the_timeout_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut relay = Relay::start(folder.path(), &["--shutdown-timeout", "1s"]).await;
    let mut stuck = Peer::connect(&relay, "id=stuck").await;
    stuck.publish(json!({"type": "EVENT"})).await;
    relay.process.signal(Signal::TERM);
    assert_eq!(relay.process.end().await.code(), Some(0), "{}", relay.process.stderr());
    assert_eq!(stuck.closed().await.0, 1001);
}

#[tokio::test]
async fn while_it_drains_it_is_not_ready_and_a_second_signal_ends_it_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut relay = Relay::start(folder.path(), &["--shutdown-timeout", "1h"]).await;
    let mut stuck = Peer::connect(&relay, "id=stuck").await;
    let ack = stuck.publish(json!({"type": "EVENT"})).await;
    assert_eq!(support::get(relay.admin, "/readyz").await.status, 200);
    relay.process.signal(Signal::TERM);
    assert_eq!(stuck.closed().await.0, 1001);
    let ready = support::get(relay.admin, "/readyz").await;
    assert_eq!((ready.status, &ready.json()["ready"]), (503, &json!(false)), "{}", ready.body);
    assert_eq!(ready.json()["reasons"], json!(["shutting down"]));
    assert_eq!(support::get(relay.admin, "/healthz").await.status, 200);
    relay.process.signal(Signal::TERM);
    // An hour would be the timeout.
    let status = relay.process.end().await;
    assert!(!status.success(), "it did not end in order: {status}");

    let relay = Relay::start(folder.path(), &[]).await;
    let mut sender = Peer::connect(&relay, "id=stuck").await;
    let id = ack["messageId"].as_str().expect("an id");
    sender.rejected(json!({"type": "OTHER", "messageId": id})).await;
}

#[tokio::test]
async fn a_client_that_goes_on_writing_gets_the_close_and_then_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut relay = Relay::start(folder.path(), &["--shutdown-timeout", "60s", "--enable-message-logs=false"]).await;
    let Peer { link, .. } = Peer::connect(&relay, "id=sender").await;
    let (mut reader, mut writer) = (link.reader, link.writer);
    let text = json!({"type": "EVENT", "value": "v".repeat(1000)}).to_string();
    relay.process.signal(Signal::TERM);
    // Far more than the sockets hold, before it looks at what came: it only gets through where somebody reads.
    for _ in 0..24 {
        for _ in 0..1000 {
            writer.text(&text);
        }
        within("the relay to read on", writer.flush()).await.expect("no reset");
    }
    loop {
        match within("the Close", event(&mut reader)).await {
            Event::Closed(code, reason) => break assert_eq!(code, 1001, "{reason}"),
            Event::Answer(_) | Event::Message(_) | Event::Ping(_) | Event::Pong(_) => {}
        }
    }
    writer.frame(FIN | CLOSE, &1001u16.to_be_bytes());
    writer.flush().await.expect("no reset");
    let end = within("the end of the stream", reader.frame()).await.expect_err("nothing follows a Close");
    assert_eq!(end.kind(), std::io::ErrorKind::UnexpectedEof, "{end}");
    assert_eq!(relay.process.end().await.code(), Some(0), "{}", relay.process.stderr());
}
