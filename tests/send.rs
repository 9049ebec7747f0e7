//! `slipstream send` as a person meets it (OPERATING: "Command line").

#![cfg(test)]

mod support;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Peer, Process, Relay, Server, Signal, assert_has, eventually};
use tempfile::TempDir;

/// A relay that holds messages for `shop`, and its folder.
async fn relay() -> (TempDir, Relay) {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    drop(Peer::connect(&relay, "id=shop").await);
    (folder, relay)
}

/// Runs `send` with these lines on stdin; it must end with `status`.
async fn send(url: &str, arguments: &[&str], lines: &str, status: i32) -> Process {
    let mut sending = Process::spawn([&["send", "--to", url], arguments].concat(), &[]);
    sending.feed(lines).await;
    assert_eq!(sending.end().await.code(), Some(status), "{arguments:?}: {}", sending.stderr());
    sending
}

fn lines(count: usize) -> Vec<String> {
    // The same line stands at several places, and each of them counts.
    (0..count).map(|number| format!("{{\"n\":{}}}", number % 7)).collect()
}

/// The values that `shop` is owed, each once.
async fn values(relay: &Relay) -> Vec<String> {
    let mut values = Vec::new();
    let mut shop = Peer::connect(relay, "id=shop").await;
    let owed = relay.metric(r#"slipstream_backlog{peer="shop"}"#).await;
    while (values.len() as f64) < owed {
        values.push(shop.take().await.raw("value"));
    }
    shop.silent().await;
    values
}

#[tokio::test]
async fn a_stream_that_is_sent_again_after_a_failure_does_not_double() {
    let (folder, relay) = relay().await;
    let lines = lines(4_000);
    // The sender is killed when some of it is confirmed.
    let stream = ["--type", "EVENT", "lines", "-"];
    let mut sending = Process::spawn([&["send", "--to", &relay.url()], &stream[..]].concat(), &[]);
    sending.feed(&(lines[..1_500].join("\n") + "\n")).await;
    eventually("half of it to be confirmed", || async { (sending.stdout().lines().count() >= 700).then_some(()) })
        .await;
    sending.kill().await;
    // Then the relay is.
    let mut again = Process::spawn([&["send", "--to", &relay.url()], &stream[..]].concat(), &[]);
    let (mut killed, text) = (relay, lines.join("\n") + "\n");
    let feeding = async {
        // It reads on until it sees that the link is lost.
        again.feed(&text).await;
        again.end().await
    };
    let killing = async {
        killed.metric_becomes_at_least("slipstream_messages_duplicate_total{by=\"identity\"}", 500.0).await;
        killed.process.kill().await;
    };
    let (status, ()) = tokio::join!(feeding, killing);
    assert!(status.code().is_some(), "it ends however the race ends");
    let relay = Relay::start(folder.path(), &[]).await;
    send(&relay.url(), &stream, &text, 0).await;
    assert_eq!(values(&relay).await, lines);
}

#[tokio::test]
async fn a_stream_that_goes_elsewhere_or_has_a_name_is_another_one() {
    let (_folder, relay) = relay().await;
    let text = "1\n2\n";
    for (arguments, new) in [
        (&["k", "-"][..], 2.0),
        (&["k", "-"], 0.0),
        (&["l", "-"], 2.0),
        (&["--type", "EVENT", "k", "-"], 2.0),
        (&["--id", "app", "k", "-"], 2.0),
        (&["--stream", "tuesday", "k", "-"], 2.0),
        (&["--stream", "tuesday", "k", "-"], 0.0),
        (&["--string", "k", "-"], 2.0),
    ] {
        let before = relay.metric(r#"slipstream_backlog{peer="shop"}"#).await;
        send(&relay.url(), arguments, text, 0).await;
        relay.metric_becomes(r#"slipstream_backlog{peer="shop"}"#, before + new).await;
    }
    // More lines at the end are new, and only they.
    let before = relay.metric(r#"slipstream_backlog{peer="shop"}"#).await;
    send(&relay.url(), &["k", "-"], "1\n2\n3", 0).await;
    relay.metric_becomes(r#"slipstream_backlog{peer="shop"}"#, before + 1.0).await;
}

#[tokio::test]
async fn ids_come_from_the_command_line_or_from_a_field_of_each_line() {
    let (_folder, relay) = relay().await;
    let (url, owed) = (relay.url(), r#"slipstream_backlog{peer="shop"}"#);
    for _ in 0..2 {
        let sent = send(&url, &["--message-id", "m-1", "k", "1"], "", 0).await;
        assert_eq!(sent.stdout(), "acknowledged m-1");
        send(&url, &["--message-id-field", "id", "events", "-"], "{\"id\":\"a\",\"x\":1}\n{\"id\":17}\n", 0).await;
    }
    assert_eq!(relay.metric(owed).await, 3.0);
    let conflict = send(&url, &["--message-id", "m-1", "k", "2"], "", 1).await;
    assert_has(&conflict.stderr(), ["m-1 was not acknowledged: identity_conflict"]);
    // What was sent before a line that has none is confirmed, and the line is named.
    let stopped =
        send(&url, &["--message-id-field", "id", "events", "-"], "{\"id\":\"b\"}\n{}\n{\"id\":\"c\"}\n", 1).await;
    assert_has(&stopped.stderr(), ["line 2", "--message-id-field", "\"id\""]);
    assert_eq!((stopped.stdout().as_str(), relay.metric(owed).await), ("acknowledged b", 4.0));
    // The same id twice in one stream is one message.
    send(&url, &["--message-id-field", "id", "events", "-"], "{\"id\":\"d\"}\n{\"id\":\"d\"}\n", 0).await;
    assert_eq!(relay.metric(owed).await, 5.0);
    let one = send(&url, &["--message-id-field", "id", "k", "7"], "", 2).await;
    assert_has(&one.stderr(), ["--message-id-field", "\"id\""]);
}

#[tokio::test]
async fn what_is_asked_for_goes_over_the_wire() {
    let (server, folder) = (Server::start().await, tempfile::tempdir().expect("a folder"));
    let file = folder.path().join("value.json");
    let path = file.to_str().expect("a path of UTF-8");
    let mut sent = Vec::new();
    for (content, arguments) in [
        ("", &["--instances", "a,b", "--mandatory", "--expires", "1h", "k", "1"][..]),
        ("\u{FEFF}{\n \"a\": 1\n}\n", &["--file", path, "k"]),
        ("two\nlines\n", &["--file", path, "k"]),
        ("\u{FEFF}first\r\n2\n\n", &["--file", path, "k", "-"]),
        ("", &["--expires", "2100-01-01T00:00:00Z", "k", "1"]),
    ] {
        std::fs::write(&file, content).expect("it is written");
        let mut sending = Process::spawn([&["send", "--to", &server.url()], arguments].concat(), &[]);
        let mut link = server.granted(&[]).await;
        for _ in 0..if arguments.contains(&"-") { 3 } else { 1 } {
            sent.push(link.take().await);
        }
        assert_eq!(link.closed().await.0, 1000);
        assert_eq!(sending.end().await.code(), Some(0), "{}", sending.stderr());
    }
    let first = &sent[0].json;
    assert_eq!((&first["targetedInstances"], &first["mandatory"]), (&json!(["a", "b"]), &json!(true)));
    let expires = first["expiresAt"].as_u64().expect("a number");
    let now = u64::try_from(std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_millis()).expect("it fits");
    assert!((now..=now + 3_600_000).contains(&expires) && expires > now + 3_000_000, "{first}");
    let values: Vec<_> = sent[1..6].iter().map(|message| message.json["value"].clone()).collect();
    assert_eq!(values, [json!({"a": 1}), json!("two\nlines\n"), json!("first"), json!(2), json!("")]);
    assert_eq!(sent[1].raw("value"), "{\n \"a\": 1\n}", "byte for byte");
    assert_eq!(sent[6].json["expiresAt"], 4_102_444_800_000_u64);
    for absent in ["targetedInstances", "mandatory", "expiresAt", "targetedTags"] {
        assert_eq!(sent[1].json.get(absent), None, "{absent}");
    }
}

#[tokio::test]
async fn a_relay_that_does_not_answer_is_not_waited_for_for_ever() {
    let server = Server::start().await;
    let started = Instant::now();
    // It grants the link and says nothing; it does not even answer the upgrade request.
    for grants in [true, false] {
        let arguments = ["send", "--to", &server.url(), "--timeout", "300ms", "k", "-"];
        let mut sending = Process::spawn(arguments, &[]);
        sending.feed("1\n2\n").await;
        let dialled = server.dialled().await;
        let _link = if grants { Ok(dialled.grant(&[]).await) } else { Err(dialled) };
        assert_eq!(sending.end().await.code(), Some(1), "{}", sending.stderr());
        assert_has(&sending.stderr(), ["300ms"]);
        if grants {
            assert_has(&sending.stderr(), ["without an answer: 2", "send it all again"]);
        }
    }
    assert!(started.elapsed() < Duration::from_secs(60));
    // As long as it answers, it may take its time.
    let mut slow = Process::spawn(["send", "--to", &server.url(), "--timeout", "1s", "k", "-"], &[]);
    slow.feed("1\n2\n3\n4\n").await;
    let mut link = server.granted(&[]).await;
    for _ in 0..4 {
        let message = link.message().await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        link.send(json!({"type": "ACK", "messageId": message.id()})).await;
    }
    link.closed().await;
    assert_eq!(slow.end().await.code(), Some(0), "{}", slow.stderr());
}

#[tokio::test]
async fn a_mandatory_message_that_nobody_gets_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let refused = send(&relay.url(), &["--mandatory", "k", "1"], "", 1).await;
    assert_has(&refused.stderr(), ["unrouted"]);
    send(&relay.url(), &["k", "1"], "", 0).await;
    drop(Peer::connect(&relay, "id=shop").await);
    send(&relay.url(), &["--mandatory", "k", "1"], "", 0).await;
}

#[tokio::test]
async fn stdout_is_for_who_wants_it() {
    let (_folder, relay) = relay().await;
    let url = relay.url();
    let quiet = send(&url, &["--quiet", "k", "-"], "1\n2\n", 0).await;
    assert_eq!((quiet.stdout(), quiet.stderr()), (String::new(), String::new()));
    let refused = send(&url, &["--quiet", "--type", "SA", "k", "7"], "", 1).await;
    assert_has(&refused.stderr(), ["SA wants an array"]);
    let told = send(&url, &["--json", "--message-id", "m", "l", "1"], "", 0).await;
    let told: Value = serde_json::from_str(&told.stdout()).expect("a JSON object");
    assert_eq!(told, json!({"messageId": "m", "acknowledged": true}));
    // Whoever reads it may stop: all is sent, and nobody is told off.
    let program = env!("CARGO_BIN_EXE_slipstream");
    let pipeline =
        format!("seq 1 5000 | {program} send --to {url} --type EVENT n - | head -1; echo ${{PIPESTATUS[1]}}");
    let run = Command::new("bash").args(["-c", &pipeline]).stdin(Stdio::null()).output().expect("bash runs");
    let (stdout, stderr) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(stdout.starts_with("acknowledged ") && stdout.ends_with("\n0\n"), "{stdout}{stderr}");
    assert_eq!((stdout.lines().count(), stderr.as_ref()), (2, ""));
    relay.metric_becomes(r#"slipstream_messages_processed_total{type="custom",origin="application"}"#, 5_000.0).await;
}

#[tokio::test]
async fn the_url_comes_from_the_flag_or_the_environment_and_must_be_one() {
    let (folder, relay) = relay().await;
    let url = relay.url();
    let environment = [("SLIPSTREAM_URL", url.as_str())];
    let mut sending = Process::spawn(["send", "k", "1"], &environment);
    assert_eq!(sending.end().await.code(), Some(0), "{}", sending.stderr());
    let mut listening = Process::spawn(["listen", "--id", "shop", "--count", "1"], &environment);
    assert_eq!(listening.end().await.code(), Some(0), "{}", listening.stderr());
    assert_eq!(listening.stdout(), "SK k 1");
    let commands = [&["send", "k", "1"][..], &["listen", "--id", "shop"], &["bench", "relay", "--pid", "1"]];
    for (url, told) in [
        ("http://127.0.0.1:1/", "ws://"),
        ("127.0.0.1:1", "ws://"),
        ("ws://", "ws://"),
        ("ws://host:99999/", "port"),
        ("ws://host:0/", "port"),
        ("ws://a b/", "ws://"),
        ("ws://me:hush@127.0.0.1:1/", "user name"),
    ] {
        for command in commands {
            let mut asked = Process::spawn([command, &["--to", url]].concat(), &[]);
            assert_eq!(asked.end().await.code(), Some(2), "{command:?} {url}: {}", asked.stderr());
            assert_has(&asked.stderr(), ["--to", told]);
            assert!(!asked.stderr().contains("hush"), "{}", asked.stderr());
            let mut asked = Process::spawn(command, &[("SLIPSTREAM_URL", url)]);
            assert_eq!(asked.end().await.code(), Some(2), "{command:?} {url}: {}", asked.stderr());
            assert_has(&asked.stderr(), ["SLIPSTREAM_URL", told]);
        }
    }
    for command in &commands[..2] {
        let mut nowhere = Process::spawn(*command, &[("SLIPSTREAM_URL", "")]);
        assert_eq!(nowhere.end().await.code(), Some(2));
        assert_has(&nowhere.stderr(), ["--to", "SLIPSTREAM_URL"]);
    }
    // A relay may have the variables of the commands beside its own.
    assert!(relay.stop().await.success());
    let path = folder.path().join("store");
    let serve = ["--listen", "127.0.0.1:0", "--metrics-port", "0", "--storage-path", path.to_str().expect("UTF-8")];
    let commands = [("SLIPSTREAM_URL", "ws://other/"), ("SLIPSTREAM_ADMIN_URL", "http://other/")];
    let relay = Relay::ready(Process::spawn(serve, &commands)).await;
    relay.process.signal(Signal::TERM);
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_before_anything_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let (nowhere, here) = (folder.path().join("nowhere"), folder.path().to_str().expect("UTF-8").to_owned());
    let nowhere = nowhere.to_str().expect("UTF-8");
    let binary = folder.path().join("binary");
    std::fs::write(&binary, b"\xff\xfe").expect("it is written");
    for (arguments, told) in [
        (&["--file", nowhere, "k"][..], nowhere),
        (&["--file", nowhere, "k", "-"], nowhere),
        (&["--file", &here, "k"], "directory"),
        (&["--file", binary.to_str().expect("UTF-8"), "k"], "UTF-8"),
        (&["--file", &here, "k", "v"], "no VALUE"),
        (&["--expires", "2020-01-01T00:00:00Z", "k", "v"], "in the future"),
        (&["--expires", "tomorrow", "k", "v"], "--expires"),
        (&["--message-id", "m", "k", "-"], "--message-id"),
        (&["--stream", "s", "k", "v"], "--stream"),
        (&["--timeout", "never", "k", "v"], "--timeout"),
        (&["--type", "NACK", "k", "v"], "answer"),
    ] {
        // Nobody is there: it would be status 1 if it went so far.
        let mut refused = Process::spawn([&["send", "--to", "ws://127.0.0.1:1/"], arguments].concat(), &[]);
        assert_eq!(refused.end().await.code(), Some(2), "{arguments:?}: {}", refused.stderr());
        assert_has(&refused.stderr(), [told]);
    }
}

#[tokio::test]
async fn a_line_that_the_relay_would_not_take_is_told_and_the_others_are_sent() {
    let (_folder, relay) = relay().await;
    let lines = format!("1\n{}\n3\n", "x".repeat(1 << 20));
    let sending = send(&relay.url(), &["k", "-"], &lines, 1).await;
    assert_has(&sending.stderr(), ["line 2 ", "983040", "not acknowledged: 1"]);
    assert_eq!(values(&relay).await, ["1", "3"]);
}
