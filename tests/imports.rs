//! Dead letters that were exported and are imported again: into the same relay, into another one, and over a crash.

#![cfg(test)]

mod support;

use std::path::Path;

use serde_json::{Value, json};
use support::{
    ENGINES, Peer, Process, Relay, an_engine, assert_has, assert_whole, counts, eventually, get, ran, request, written,
};

/// Gives everything up at once.
const GIVES_UP: [&str; 2] = ["--ack-timeout=50ms", "--max-message-republish-attempts=0"];

/// What a command on dead letters prints, and its exit status.
async fn dead_letters(relay: &Relay, command: &str) -> (Option<i32>, String, String) {
    let arguments: Vec<&str> = ["dead-letters"].into_iter().chain(command.split(' ')).collect();
    ran(&arguments, &[("SLIPSTREAM_ADMIN_URL", &format!("http://{}", relay.admin))]).await
}

/// What it prints where all is well.
async fn prints(relay: &Relay, command: &str) -> String {
    let (status, stdout, stderr) = dead_letters(relay, command).await;
    assert_eq!((status, stderr.as_str()), (Some(0), ""), "{command}");
    stdout
}

async fn groups(relay: &Relay) -> Value {
    get(relay.admin, "/api/v1/dead-letters/groups").await.json()
}

async fn dead(relay: &Relay) -> u64 {
    get(relay.admin, "/api/v1/status").await.json()["deadLetters"].as_u64().expect("a count")
}

/// Sends messages that `deaf` takes and does not acknowledge, until they are dead letters. Returns their texts.
async fn given_up(relay: &Relay) -> Vec<String> {
    let mut deaf = Peer::connect(relay, "id=deaf").await;
    let mut shop = Peer::connect(relay, "id=shop").await;
    for message in [
        r#"{"type":"SK","key":"k","value":1.50,"messageId":"plain","unknown":"\u00fc"}"#,
        "{\"type\":\"SK\",\"key\":\"l\",\"value\":{ \"of\":\r\n  [\"several\", \"lines\\n\"]\n},\"messageId\":\"broken\"}",
        r#"{"type":"EVENT","value":"last","messageId":"last"}"#,
    ] {
        shop.publish(message).await;
    }
    let mut texts = Vec::new();
    for _ in 0..3 {
        texts.push(deaf.message().await.text);
    }
    eventually("the dead letters", || async { (dead(relay).await == 3).then_some(()) }).await;
    texts
}

#[tokio::test]
async fn what_was_exported_is_imported_and_delivered_byte_for_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &GIVES_UP).await;
    let texts = given_up(&relay).await;
    let before = (groups(&relay).await, get(relay.admin, "/api/v1/dead-letters").await.json());
    let exported = prints(&relay, "export").await;
    assert_eq!(exported.lines().count(), 3, "a message with line breaks is one line: {exported}");
    let file = written(folder.path(), "dead.jsonl", &exported);
    assert_has(&prints(&relay, &format!("import {file}")).await, ["0 dead letters imported, 3 there already"]);
    prints(&relay, "purge --all --yes").await;
    assert_eq!(dead(&relay).await, 0);

    let lines: Vec<&str> = exported.lines().collect();
    let mut without: Value = serde_json::from_str(lines[0]).expect("JSON");
    without.as_object_mut().expect("an object").remove("message");
    let forged = lines[2].replace(r#""messageId":"last","clusterGroupId""#, r#""messageId":"other","clusterGroupId""#);
    let broken = [lines[0], "{\"peer\":", lines[1], "", &without.to_string(), &forged, lines[2]].join("\n");
    let broken = written(folder.path(), "broken.jsonl", &broken);
    let (status, stdout, stderr) = dead_letters(&relay, &format!("import {broken}")).await;
    assert_eq!((status, stdout.as_str()), (Some(1), "3 dead letters imported, 0 there already, 3 refused"), "{stderr}");
    assert_has(&stderr, ["line 2: expected a dead letter as export prints it", "line 5: ", "missing field `message`"]);
    assert_has(&stderr, ["line 6: messageId: expected last as in the message, got other"]);
    assert_eq!(stderr.lines().count(), 3, "{stderr}");

    assert_eq!(groups(&relay).await, before.0);
    let now = get(relay.admin, "/api/v1/dead-letters").await.json();
    let without_sequences = |page: &Value| {
        let mut items = page["items"].as_array().expect("items").clone();
        items.iter_mut().for_each(|item| item["sequence"] = json!(0));
        items
    };
    assert_eq!(without_sequences(&now), without_sequences(&before.1));
    assert_ne!(now["items"][0]["sequence"], before.1["items"][0]["sequence"]);
    let trace = get(relay.admin, "/api/v1/messages/plain").await.json();
    let delivery = &trace["deliveries"][0];
    assert_eq!((&delivery["state"], &delivery["sequence"]), (&json!("dead"), &now["items"][0]["sequence"]));
    let again = prints(&relay, &format!("import {file} --json")).await;
    assert_eq!(again, r#"{"imported":0,"skipped":3,"refused":0}"#);

    let mut mended = Peer::connect(&relay, "id=deaf").await;
    mended.silent().await;
    assert_has(&prints(&relay, "redrive --all").await, ["3 of 3 dead letters redriven"]);
    for text in texts {
        assert_eq!(mended.take().await.text, text);
    }
    // A message that was imported is no new one: what its sender sends again is a repetition still.
    let mut shop = Peer::connect(&relay, "id=shop").await;
    shop.publish(json!({"type": "EVENT", "value": "last", "messageId": "last"})).await;
    mended.silent().await;
    assert!(relay.stop().await.success());
    assert_whole(&folder.path().join("store")).await;
}

#[tokio::test]
async fn another_relay_with_another_engine_takes_them_over() {
    let (folder, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let relay = Relay::start(folder.path(), &[&GIVES_UP[..], &["--store", an_engine()]].concat()).await;
    let texts = given_up(&relay).await;
    let exported = prints(&relay, "export").await;
    drop(relay);

    let engine = ENGINES.last().expect("an engine");
    let flags = ["--store", engine, "--instance-id=other"];
    let relay = Relay::start(other.path(), &flags).await;
    let mut import = Process::spawn(
        ["dead-letters", "import", "-"],
        &[("SLIPSTREAM_ADMIN_URL", &format!("http://{}", relay.admin))],
    );
    import.feed(&exported).await;
    assert!(import.end().await.success(), "{}", import.stderr());
    assert_eq!(import.stdout(), "3 dead letters imported, 0 there already, 0 refused");
    assert_has(&prints(&relay, "redrive --all").await, ["0 of 3 dead letters redriven, 3 left as they are"]);
    let trace = get(relay.admin, "/api/v1/messages/broken").await.json();
    assert_eq!((&trace["receivedFrom"], &trace["deliveries"][0]["state"]), (&json!("shop"), &json!("dead")));

    assert!(relay.stop().await.success());
    assert_whole(&other.path().join("store")).await;
    assert_eq!(counts(&other.path().join("store")).await["deadLetters"], 3);
    let relay = Relay::start(other.path(), &flags).await;
    let mut deaf = Peer::connect(&relay, "id=deaf").await;
    assert_has(&prints(&relay, "redrive --all").await, ["3 of 3 dead letters redriven"]);
    for text in texts {
        assert_eq!(deaf.take().await.text, text);
    }
}

/// How many lines are imported while the relay is killed.
const MANY: u64 = 8_000;

/// A line as a relay exports it.
fn line(number: u64) -> String {
    let id = format!("m{number}");
    let message = json!({
        "type": "EVENT", "value": number, "messageId": id, "originInstanceId": "shop", "sourceInstanceId": "shop",
        "messagePath": ["shop", "here"], "clusterGroupId": "singleton",
    });
    let dead = json!({
        "peer": "deaf", "messageId": id, "clusterGroupId": "singleton", "type": "EVENT", "key": null,
        "reason": "unacknowledged", "attempts": 3, "deadAt": "2026-01-02T03:04:05.678Z", "message": message,
    });
    dead.to_string()
}

#[tokio::test]
async fn an_import_that_a_crash_cut_off_is_run_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines: Vec<String> = (0..MANY).map(line).collect();
    let file = written(folder.path(), "dead.jsonl", &lines.join("\n"));
    let mut relay = Relay::start(folder.path(), &[]).await;
    let url = format!("http://{}", relay.admin);
    let mut import = Process::spawn(["dead-letters", "import", &file], &[("SLIPSTREAM_ADMIN_URL", &url)]);
    eventually("the first to be imported", || async { (dead(&relay).await > 0).then_some(()) }).await;
    relay.process.kill().await;
    assert_eq!(import.end().await.code(), Some(1), "{}", import.stdout());
    assert_has(&import.stderr(), ["dead-letters/import"]);

    let relay = Relay::start(folder.path(), &[]).await;
    let survived = dead(&relay).await;
    assert!((1..MANY).contains(&survived), "{survived}");
    // Two at once: each is imported by one of them.
    let run = || async {
        let (status, stdout, stderr) = dead_letters(&relay, &format!("import {file} --json")).await;
        assert_eq!((status, stderr.as_str()), (Some(0), ""));
        serde_json::from_str::<Value>(&stdout).expect("JSON")
    };
    let (one, other) = tokio::join!(run(), run());
    let sum = |field: &str| one[field].as_u64().expect("a count") + other[field].as_u64().expect("a count");
    assert_eq!((sum("imported"), sum("skipped")), (MANY - survived, MANY + survived));
    assert_eq!(dead(&relay).await, MANY);
    assert_eq!(groups(&relay).await, json!({"items": [{"peer": "deaf", "reason": "unacknowledged", "count": MANY}]}));
    assert!(relay.stop().await.success());
    assert_whole(&folder.path().join("store")).await;
}

#[tokio::test]
async fn a_request_is_bounded_and_told_in_the_audit_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--max-message-bytes=64KiB"]).await;
    let post = |items: Vec<String>| {
        let body = format!(r#"{{"items":[{}]}}"#, items.join(","));
        let admin = relay.admin;
        async move {
            request(admin, "POST", "/api/v1/dead-letters/import", "Content-Type: application/json\r\n", &body).await
        }
    };
    let answer = post(vec![line(1), line(1), line(2).replace("deaf", "no peer")]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let answer = answer.json();
    assert_eq!((&answer["imported"], &answer["skipped"]), (&json!(1), &json!(1)));
    assert_eq!(answer["refused"][0]["index"], 2);
    assert_has(answer["refused"][0]["reason"].as_str().expect("a reason"), ["peer: expected 1 to 128"]);
    relay.says("1 imported, 1 there already, 1 refused").await;

    let long = |bytes: usize| line(3).replace(r#""value":3"#, &format!(r#""value":"{}""#, "x".repeat(bytes)));
    let answer = post(vec![long(100_000)]).await.json();
    assert_eq!(answer["imported"], 1, "as long as one from another relay: {answer}");
    let answer = post(vec![long(131_072), line(4)]).await.json();
    assert_eq!(answer["imported"], 1, "{answer}");
    assert_has(answer["refused"][0]["reason"].as_str().expect("a reason"), ["message: expected at most 131072 bytes"]);
    assert_eq!(post((0..501).map(line).collect()).await.status, 400);
    assert_eq!(post(vec![long(2 << 20)]).await.status, 413);
    // The command goes on behind a line that no request could carry.
    let file = written(folder.path(), "long.jsonl", &[line(5), long(2 << 20), line(6)].join("\n"));
    let (status, stdout, stderr) = dead_letters(&relay, &format!("import {file}")).await;
    assert_eq!((status, stdout.as_str()), (Some(1), "2 dead letters imported, 0 there already, 1 refused"), "{stderr}");
    assert_has(&stderr, ["line 2: expected a body of at most"]);
    let missing = Path::new(&file).with_extension("none");
    let (status, _, stderr) = dead_letters(&relay, &format!("import {}", missing.display())).await;
    assert_eq!(status, Some(2), "{stderr}");
}
