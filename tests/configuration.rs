//! The configuration as an operator meets it: peers to dial, the commands for it, the log at runtime (OPERATING:
//! "Configuration", "Command line", "HTTP on the metrics port").

#![cfg(test)]

mod support;

use serde_json::{Value, json};
use support::{Peer, Process, Relay, assert_has, eventually, get, put, ran, request, written};

const PEERS: &str = r#"[{"url": "ws://relay-b.example:7171/mesh?key=hush", "id": "azure-1", "tags": ["azure"], "token": "hush"},
    {"url": "ws://127.0.0.1:1/"}]"#;

#[tokio::test]
async fn check_says_what_a_start_would_say_and_opens_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    let file = written(folder.path(), "s.toml", &format!("storage_path = {store:?}\nlisten = \"off\"\n"));
    let (code, stdout, stderr) = ran(&["config", "check", "--config", &file, "--window=5"], &[]).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert_has(&stdout, ["no fault", "settings given: 4 of", "peers to dial: 0"]);
    assert_has(&stderr, ["warning: SLIPSTREAM_LISTEN is off"]);
    assert!(!store.exists());
    let wrong =
        [("URL_CONFIG", r#"[{"url":"hush"},{"url":"ws://host/?hush","colour":1}]"#), ("SLIPSTREAM_WINDOW", "0")];
    let (code, stdout, told) = ran(&["config", "check", "--config", &file], &wrong).await;
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert_has(&told, ["3 faults", "entry 1 of 2", "entry 2 of 2 (host): \"colour\"", "SLIPSTREAM_WINDOW"]);
    assert!(!told.contains("hush"), "{told}");
    let (code, _, serving) = ran(&["serve", "--config", &file], &wrong).await;
    assert_eq!((code, serving), (Some(2), told), "a start says the same");
}

#[tokio::test]
async fn show_tells_each_value_and_where_it_came_from_and_no_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = written(folder.path(), "s.toml", "window = 5\nack_timeout = \"7s\"\nrate_limit = 9\n");
    let environment = [("SLIPSTREAM_CONFIG", file.as_str()), ("SLIPSTREAM_WINDOW", "6"), ("URL_CONFIG", PEERS)];
    let (code, table, _) = ran(&["config", "show", "--ack-timeout", "8s"], &environment).await;
    assert_eq!(code, Some(0), "{table}");
    for row in [
        vec!["SLIPSTREAM_WINDOW", "6", "environment"],
        vec!["SLIPSTREAM_ACK_TIMEOUT", "8s", "flag"],
        vec!["SLIPSTREAM_RATE_LIMIT", "9", "file", &file],
        vec!["SLIPSTREAM_HEARTBEAT", "15s", "default"],
        vec!["SLIPSTREAM_INSTANCE_ID", "none", "default"],
        vec!["URL_CONFIG", "2", "peers", "environment"],
        vec!["peer", "azure-1", "at", "ws://relay-b.example:7171/mesh?…,", "tags", "azure,", "token", "hidden"],
    ] {
        assert!(table.lines().any(|line| line.split_whitespace().eq(row.iter().copied())), "{row:?} in\n{table}");
    }
    let (code, record, _) = ran(&["config", "show", "--json"], &environment).await;
    let record: Value = serde_json::from_str(&record).expect("JSON");
    assert_eq!(code, Some(0));
    let setting = |name: &str| {
        let settings = record["settings"].as_array().expect("settings");
        settings.iter().find(|each| each["variable"] == name).expect("it is shown").clone()
    };
    assert_eq!(
        setting("SLIPSTREAM_RATE_LIMIT"),
        json!({"variable": "SLIPSTREAM_RATE_LIMIT", "value": "9", "origin": "file", "file": file})
    );
    assert_eq!(setting("SLIPSTREAM_INSTANCE_ID")["value"], Value::Null);
    assert_eq!(
        record["peers"][0],
        json!({"id": "azure-1", "url": "ws://relay-b.example:7171/mesh?…", "tags": ["azure"], "clusterGroupId": null,
            "coalesce": false, "token": "hidden", "ca": null, "cert": null, "key": null, "rejectUnauthorized": true})
    );
    assert!(!table.contains("hush") && !record.to_string().contains("hush"));
}

#[tokio::test]
async fn the_page_has_every_field_of_a_peer_as_it_is_shown() {
    let page = include_str!("../docs/configuration.md");
    let example = page.split_once(" \"peers\": [").and_then(|(_, rest)| rest.split_once(", …]")).expect("an example").0;
    let example: Value = serde_json::from_str(example).expect("one peer");
    let peer = r#"[{"url": "ws://relay-azure.example:7171/", "id": "azure-1", "tags": ["azure"], "token": "hush"}]"#;
    let (_, record, _) = ran(&["config", "show", "--json"], &[("URL_CONFIG", peer)]).await;
    let record: Value = serde_json::from_str(&record).expect("JSON");
    assert_eq!(record["peers"][0], example);
}

#[tokio::test]
async fn show_names_the_files_of_certificates_and_no_text_of_them() {
    let peers = r#"[{"url": "wss://relay-c.example/", "ca": "ca.pem", "cert": "-----BEGIN hush", "key": "c.key"}]"#;
    let (code, table, _) = ran(&["config", "show"], &[("URL_CONFIG", peers)]).await;
    assert_eq!(code, Some(0));
    assert_has(&table, ["peer relay-c.example:443 at wss://relay-c.example:443/, ca ca.pem, cert hidden, key c.key"]);
    let (_, record, _) = ran(&["config", "show", "--json"], &[("URL_CONFIG", peers)]).await;
    let record: Value = serde_json::from_str(&record).expect("JSON");
    let shown = ["ca", "cert", "key"].map(|field| record["peers"][0][field].clone());
    assert_eq!(shown, ["ca.pem", "hidden", "c.key"]);
    assert!(!table.contains("hush") && !record.to_string().contains("hush"));
}

#[tokio::test]
async fn show_shows_what_it_can_where_there_are_faults() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = written(folder.path(), "s.toml", "[[peer]]\nurl = \"ws://from-the-file\"\n");
    let environment = [
        ("SLIPSTREAM_CONFIG", file.as_str()),
        ("SLIPSTREAM_WINDOW", "many"),
        ("URL_CONFIG", "hush"),
        ("SLIPSTREAM_HEARTBEAT", "7s"),
    ];
    let (code, table, told) = ran(&["config", "show"], &environment).await;
    assert_eq!(code, Some(2));
    for row in [
        ["SLIPSTREAM_WINDOW", "(fault)", "environment"],
        ["URL_CONFIG", "(fault)", "environment"],
        ["SLIPSTREAM_HEARTBEAT", "7s", "environment"],
    ] {
        assert!(table.lines().any(|line| line.split_whitespace().eq(row)), "{row:?} in\n{table}");
    }
    assert!(!table.contains("from-the-file"), "these peers are not what was asked for:\n{table}");
    assert_has(&told, ["2 faults", "SLIPSTREAM_WINDOW", "\"many\"", "URL_CONFIG"]);
    assert!(!told.contains("hush") && !table.contains("hush"));
}

#[tokio::test]
async fn encode_makes_what_a_start_reads() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = written(folder.path(), "peers.json", PEERS);
    let (code, from_file, stderr) = ran(&["config", "encode", &file], &[]).await;
    assert_eq!(code, Some(0), "{stderr}");
    let mut piped = Process::spawn(["config", "encode", "-"], &[]);
    piped.feed(PEERS).await;
    assert!(piped.end().await.success());
    assert_eq!(piped.stdout(), from_file);
    assert!(from_file.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)), "{from_file}");
    let (code, shown, _) = ran(&["config", "show"], &[("URL_CONFIG", &from_file)]).await;
    assert_eq!(code, Some(0));
    assert_has(&shown, ["peer azure-1 at ws://relay-b.example:7171/mesh?…", "peer 127.0.0.1:1 at ws://127.0.0.1:1/"]);

    let wrong = written(folder.path(), "wrong.json", r#"[{"url":"https://host/?hush","token":"hu sh"}]"#);
    let (code, stdout, told) = ran(&["config", "encode", &wrong], &[]).await;
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert_has(&told, ["wrong.json entry 1 of 1 (host)", "url", "token"]);
    assert!(!told.contains("hu"), "{told}");
    let missing = folder.path().join("missing.json");
    let (code, _, told) = ran(&["config", "encode", missing.to_str().expect("UTF-8")], &[]).await;
    assert_eq!(code, Some(1));
    assert_has(&told, ["missing.json", "No such file"]);
}

#[tokio::test]
async fn a_start_names_the_peers_that_it_dials_and_no_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut relay = Relay::start(folder.path(), &["--url-config", PEERS]).await;
    relay.process.printed("what to try", |line| line.contains("slipstream send").then_some(())).await;
    let said = relay.process.stdout();
    for peer in [["peer", "azure-1", "at", "relay-b.example:7171"], ["peer", "127.0.0.1:1", "at", "127.0.0.1:1"]] {
        assert!(said.lines().any(|line| line.split_whitespace().eq(peer)), "{peer:?} in\n{said}");
    }
    eventually("the warning about the token", || async {
        relay.process.stderr().contains("the token for azure-1 crosses the network").then_some(())
    })
    .await;
    assert!(!said.contains("hush") && !relay.process.stderr().contains("hush"));
}

#[tokio::test]
async fn the_log_is_switched_while_the_relay_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--enable-message-logs=false"]).await;
    let logging = "/api/v1/logging";
    assert_eq!(get(relay.admin, logging).await.json(), json!({"messageLogs": false, "level": "info"}));
    let mut sender = Peer::connect(&relay, "id=sender").await;
    sender.publish(json!({"type": "SK", "key": "first", "value": 1, "messageId": "quiet-1"})).await;
    let now = put(relay.admin, logging, r#"{"messageLogs":true}"#).await;
    assert_eq!((now.status, now.json()), (200, json!({"messageLogs": true, "level": "info"})));
    sender.publish(json!({"type": "SK", "key": "second", "value": 1, "messageId": "told-1"})).await;
    eventually("a line for the second message", || async { relay.process.stderr().contains("told-1").then_some(()) })
        .await;
    assert!(!relay.process.stderr().contains("quiet-1"), "the first message came while its line was off");
    let refused = put(relay.admin, logging, r#"{"level":"loud"}"#).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!("invalid_request")));
    let cross = request(relay.admin, "GET", logging, "Origin: http://evil.example\r\n", "").await;
    assert_eq!((cross.status, &cross.json()["error"]["code"]), (403, &json!("cross_site")));
}

#[tokio::test]
async fn beyond_loopback_the_api_is_closed_unless_that_is_permitted() {
    let folder = tempfile::tempdir().expect("a folder");
    for (flag, status) in [("--allow-insecure=false", 403), ("--allow-insecure", 200)] {
        let relay = Relay::start(folder.path(), &["--metrics-host", "0.0.0.0", flag]).await;
        let here = ([127, 0, 0, 1], relay.admin.port()).into();
        assert_eq!(get(here, "/api/v1/logging").await.status, status, "{flag}");
        for path in ["/metrics", "/healthz", "/readyz"] {
            assert_eq!(get(here, path).await.status, 200, "{flag}: {path}");
        }
        let warned = relay.process.stderr().contains("the API only because of SLIPSTREAM_ALLOW_INSECURE");
        assert_eq!(warned, status == 200, "{flag}: {}", relay.process.stderr());
        assert!(relay.stop().await.success());
    }
}

#[tokio::test]
async fn the_free_bytes_of_the_disk_are_on_the_metrics_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--min-free-disk", "0"]).await;
    eventually("the disk to be looked at", || async {
        (relay.metric("slipstream_store_free_bytes").await > 0.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn below_the_least_free_disk_nothing_new_is_accepted() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--min-free-disk", "1024TiB"]).await;
    eventually("readiness to say so", || async {
        let ready = get(relay.admin, "/readyz").await;
        (ready.status == 503 && ready.body.contains("disk is low")).then_some(())
    })
    .await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let refused = sender.rejected(json!({"type": "SK", "key": "k", "value": 1, "messageId": "m"})).await;
    assert_has(&format!("{refused:?}"), ["storage_unavailable"]);
}
