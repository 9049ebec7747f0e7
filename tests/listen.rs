//! `slipstream listen` as a person meets it (OPERATING: "Command line").

#![cfg(test)]

mod support;

use std::process::{Command, Output, Stdio};

use serde_json::json;
use support::{Event, Peer, Process, Proxy, Relay, Server, Signal, assert_has};
use tempfile::TempDir;

const BACKLOG: &str = r#"slipstream_backlog{peer="shop"}"#;
const LINKS: &str = r#"slipstream_active_connections{kind="application"}"#;

/// A relay that owes `shop` so many messages, and its folder.
async fn owing(count: u32) -> (TempDir, Relay) {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    drop(Peer::connect(&relay, "id=shop").await);
    // Otherwise that link passes for the next one.
    relay.metric_becomes(LINKS, 0.0).await;
    publish(&relay, 0..count).await;
    (folder, relay)
}

async fn publish(relay: &Relay, numbers: std::ops::Range<u32>) {
    let mut app = Peer::connect(relay, "id=app").await;
    for number in numbers {
        let key = if number % 2 == 0 { "even" } else { "odd" };
        app.publish(json!({"type": "EVENT", "key": key, "value": number, "messageId": format!("m{number}")})).await;
    }
}

fn listen(url: &str, arguments: &[&str]) -> Process {
    Process::spawn([&["listen", "--to", url, "--id", "shop"], arguments].concat(), &[])
}

/// Runs `slipstream listen … | after` in bash, which also prints the exit status of `listen`.
fn pipeline(url: &str, after: &str) -> Output {
    let program = env!("CARGO_BIN_EXE_slipstream");
    let line = format!("{program} listen --to {url} --id shop | {after}; echo ${{PIPESTATUS[0]}}");
    Command::new("timeout").args(["60", "bash", "-c", &line]).stdin(Stdio::null()).output().expect("bash runs")
}

#[tokio::test]
async fn a_lost_link_is_made_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut relay = Relay::start(folder.path(), &[]).await;
    let proxy = Proxy::start(relay.links).await;
    let url = proxy.url();
    let mut listening = listen(&url, &["--count", "3", "--format", "{value}"]);
    let mut once = Process::spawn(["listen", "--to", &url, "--id", "other", "--once"], &[]);
    relay.metric_becomes(LINKS, 2.0).await;
    publish(&relay, 0..1).await;
    listening.printed("the first", |line| (line == "0").then_some(())).await;
    relay.metric_becomes(BACKLOG, 0.0).await;
    relay.process.kill().await;
    assert_eq!(once.end().await.code(), Some(1), "with --once a lost link is the end");
    assert!(!once.stderr().is_empty());
    let mut relay = Relay::start(folder.path(), &[]).await;
    proxy.lead_to(relay.links);
    publish(&relay, 1..2).await;
    listening.printed("the second", |line| (line == "1").then_some(())).await;
    relay.metric_becomes(BACKLOG, 0.0).await;
    // An orderly stop is no end either.
    relay.process.signal(Signal::TERM);
    assert!(relay.process.end().await.success());
    let relay = Relay::start(folder.path(), &[]).await;
    proxy.lead_to(relay.links);
    publish(&relay, 2..3).await;
    assert_eq!(listening.end().await.code(), Some(0), "{}", listening.stderr());
    assert_eq!(listening.stdout(), "0\n1\n2");
    assert_has(&listening.stderr(), ["linking again", "linked again", "1001"]);
}

#[tokio::test]
async fn what_would_end_the_same_way_again_is_the_end() {
    let (_folder, relay) = owing(0).await;
    let mut first = listen(&relay.url(), &[]);
    relay.metric_becomes(LINKS, 1.0).await;
    let mut second = listen(&relay.url(), &[]);
    assert_eq!(first.end().await.code(), Some(1), "two of one id would take over from each other for ever");
    assert_has(&first.stderr(), ["4000", "taken over"]);
    second.signal(Signal::TERM);
    assert_eq!(second.end().await.code(), Some(0));
    // A relay that is not there at first is told at once.
    let mut nobody = listen("ws://127.0.0.1:1/", &[]);
    assert_eq!(nobody.end().await.code(), Some(1));
    assert_has(&nobody.stderr(), ["127.0.0.1:1"]);
    // So is one that says no, later; where it only has no room it is asked again.
    let server = Server::start().await;
    let mut listening = listen(&server.url(), &[]);
    drop(server.granted(&[]).await);
    let busy = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    server.dialled().await.answer(busy).await;
    drop(server.granted(&[]).await);
    let refused = "HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!";
    server.dialled().await.answer(refused).await;
    assert_eq!(listening.end().await.code(), Some(1));
    assert_has(&listening.stderr(), ["503", "403", "no!"]);
}

#[tokio::test]
async fn nothing_more_within_the_timeout_has_a_status_of_its_own() {
    let (_folder, relay) = owing(3).await;
    let mut listening = listen(&relay.url(), &["--timeout", "300ms", "--count", "4"]);
    assert_eq!(listening.end().await.code(), Some(3), "{}", listening.stderr());
    assert_eq!((listening.stdout().lines().count(), listening.stderr()), (3, String::new()));
    relay.metric_becomes(BACKLOG, 0.0).await;
    publish(&relay, 3..5).await;
    let mut counted = listen(&relay.url(), &["--timeout", "60s", "--count", "2"]);
    assert_eq!(counted.end().await.code(), Some(0), "{}", counted.stderr());
    // It counts while there is no link, too.
    let server = Server::start().await;
    let mut listening = listen(&server.url(), &["--timeout", "500ms"]);
    drop(server.granted(&[]).await);
    drop(server);
    assert_eq!(listening.end().await.code(), Some(3), "{}", listening.stderr());
}

#[tokio::test]
async fn each_format_prints_what_it_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let message = r#"{"type":"SK","key":"k","value":"two\nlines","messageId":"m","mine":7}"#;
    Peer::connect(&relay, "id=app").await.publish(message).await;
    for (format, expected) in [
        ("text", r#"SK k "two\nlines""#),
        ("value", r#""two\nlines""#),
        ("{key}\\t{mine}\\t{value}", "k\t7\ttwo\\nlines"),
    ] {
        let id = format!("id-{}", format.len());
        drop(Peer::connect(&relay, &format!("id={id}")).await);
        let again = format!(r#"{{"type":"SK","key":"k","value":"two\nlines","messageId":"{id}","mine":7}}"#);
        Peer::connect(&relay, "id=app").await.publish(again).await;
        let arguments = ["listen", "--to", &relay.url(), "--id", &id, "--count", "1", "--format", format];
        let mut listening = Process::spawn(arguments, &[]);
        assert_eq!(listening.end().await.code(), Some(0), "{}", listening.stderr());
        assert_eq!(listening.stdout(), expected);
    }
    let mut refused = listen(&relay.url(), &["--format", "jsn"]);
    assert_eq!(refused.end().await.code(), Some(2));
    assert_has(&refused.stderr(), ["--format", "text, json, value"]);
}

#[tokio::test]
async fn keys_choose_what_is_shown_and_how_much_was_not_is_said() {
    let (_folder, relay) = owing(10).await;
    let mut listening = listen(&relay.url(), &["--key", "odd", "--format", "{value}", "--timeout", "500ms"]);
    assert_eq!(listening.end().await.code(), Some(3));
    assert_eq!(listening.stdout(), "1\n3\n5\n7\n9");
    assert_has(&listening.stderr(), ["5 messages with other keys were acknowledged and not shown"]);
    relay.metric_becomes(BACKLOG, 0.0).await;
    publish(&relay, 10..14).await;
    let both = ["--key", "odd", "--key", "even", "--count", "4"];
    let mut listening = listen(&relay.url(), &both);
    assert_eq!(listening.end().await.code(), Some(0));
    assert_eq!(listening.stderr(), "");
    publish(&relay, 14..16).await;
    let mut looking = listen(&relay.url(), &["--key", "odd", "--count", "1", "--no-ack"]);
    assert_eq!(looking.end().await.code(), Some(0));
    relay.metric_becomes(BACKLOG, 2.0).await;
}

#[tokio::test]
async fn a_reader_that_has_enough_ends_it_quietly_and_takes_no_more_than_it_read() {
    let (_folder, relay) = owing(300).await;
    let run = pipeline(&relay.url(), "head -1");
    let (stdout, stderr) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert_eq!((stdout.as_ref(), stderr.as_ref()), ("EVENT even 0\n0\n", ""));
    // It cannot be known what a reader has done with what is in the pipe, but it is not everything.
    let left = relay.metric(BACKLOG).await;
    assert!(left > 200.0, "only {left} of 300 are still owed");
    // A reader that goes without a word ends it too, although nothing is printed any more.
    let mut rest = listen(&relay.url(), &["--timeout", "500ms"]);
    assert_eq!(rest.end().await.code(), Some(3));
    publish(&relay, 300..301).await;
    let run = pipeline(&relay.url(), "head -1");
    assert_eq!(String::from_utf8_lossy(&run.stdout), "EVENT even 300\n0\n");
}

#[tokio::test]
async fn what_cannot_be_printed_is_not_acknowledged() {
    let (_folder, relay) = owing(2).await;
    let program = env!("CARGO_BIN_EXE_slipstream");
    let line = format!("{program} listen --to {} --id shop > /dev/full", relay.url());
    let run = Command::new("bash").args(["-c", &line]).output().expect("bash runs");
    assert_eq!(run.status.code(), Some(1));
    assert_has(&String::from_utf8_lossy(&run.stderr), ["stdout", "No space left"]);
    relay.metric_becomes(LINKS, 0.0).await;
    assert_eq!(relay.metric(BACKLOG).await, 2.0);
}

#[tokio::test]
async fn a_signal_ends_it_in_order() {
    let server = Server::start().await;
    for signal in [Signal::INT, Signal::TERM] {
        let mut listening = listen(&server.url(), &[]);
        let mut link = server.granted(&[]).await;
        link.send(json!({"type": "SK", "key": "k", "value": 1, "messageId": "m"})).await;
        assert_eq!(link.answer().await["messageId"], "m");
        listening.signal(signal);
        assert!(matches!(link.event().await, Event::Closed(1000, _)));
        assert_eq!(listening.end().await.code(), Some(0), "{}", listening.stderr());
    }
}
