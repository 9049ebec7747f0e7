//! The program over a store on PostgreSQL, as an operator meets it: its start, its words, the commands on its store. What
//! several relays do as one is in `cluster.rs`.

#![cfg(test)]

mod support;

use serde_json::json;
use slipstream_postgres_server::Server;
use support::{Peer, Process, Relay, Signal, assert_has, eventually, get, ran};

/// Nobody may read it anywhere.
const PASSWORD: &str = "hunter2hunter2";

const DATABASE: &str = "postgres";

/// The URL of a server's store, with a password that it does not ask for.
fn url(server: &Server) -> String {
    server.url(DATABASE).replace("postgres@", &format!("postgres:{PASSWORD}@"))
}

fn spawn(url: &str, more: &[(&str, &str)]) -> Process {
    let fixed = [("SLIPSTREAM_STORE", "postgres"), ("SLIPSTREAM_STORE_URL", url)];
    let environment: Vec<_> = fixed.iter().chain(more).copied().collect();
    Process::spawn(["serve", "--listen", "127.0.0.1:0", "--metrics-port", "0"], &environment)
}

async fn start(url: &str, more: &[(&str, &str)]) -> Relay {
    Relay::ready(spawn(url, more)).await
}

/// Runs a command on the store, and returns its status and all that it says.
async fn store(url: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let environment = [("SLIPSTREAM_STORE", "postgres"), ("SLIPSTREAM_STORE_URL", url)];
    let (code, stdout, stderr) = ran(&[&["store"], arguments].concat(), &environment).await;
    (code, stdout + &stderr)
}

#[tokio::test]
async fn a_relay_keeps_its_messages_there_and_shows_no_password() {
    let server = Server::start();
    let relay = start(&url(&server), &[]).await;
    let mut shop = Peer::connect(&relay, "id=shop&tags=aws").await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let message = |id: &str| json!({"type": "SK", "key": "k", "value": 1, "messageId": id, "targetedTags": ["aws"]});
    sender.publish(message("m1")).await;
    assert_eq!(shop.take().await.id(), "m1");
    drop(shop);
    sender.publish(message("m2")).await;
    let (code, counts) = store(&url(&server), &["stats", "--json"]).await;
    let counts: serde_json::Value = serde_json::from_str(&counts).expect("JSON");
    assert_eq!((code, &counts["engine"], &counts["peers"]), (Some(0), &json!("postgres"), &json!(2)), "{counts}");
    let (code, told) = store(&url(&server), &["check"]).await;
    assert_eq!(code, Some(0), "{told}");
    assert_has(&told, ["postgres:postgres://127.0.0.1:", "no defect (depth full)"]);
    let status = get(relay.admin, "/api/v1/status").await.json();
    let place = status["store"]["path"].as_str().expect("a place").to_owned();
    assert_has(&place, ["postgres://127.0.0.1:", "/postgres"]);
    assert_has(&status["store"]["guarantee"].to_string(), ["a power cut", "no synchronous standby"]);
    let id = status["instanceId"].clone();
    let (stdout, stderr) = (relay.process.stdout(), relay.process.stderr());
    assert_has(&stdout, ["postgres at postgres://127.0.0.1:", "new, opened in", "on one disk"]);
    assert!(!format!("{stdout}{stderr}{place}{told}").contains(PASSWORD), "{stdout}{stderr}");
    assert!(relay.stop().await.success());

    let relay = start(&url(&server), &[]).await;
    assert_has(&relay.process.stdout(), ["found, with 2 peers and 1 owed"]);
    assert_eq!(get(relay.admin, "/api/v1/status").await.json()["instanceId"], id);
    let mut shop = Peer::connect(&relay, "id=shop").await;
    assert_eq!(shop.take().await.id(), "m2");
    // Processes that share a store have one id.
    let mut other = spawn(&url(&server), &[("SLIPSTREAM_INSTANCE_ID", "another")]);
    assert_eq!(other.end().await.code(), Some(1));
    assert_has(&other.stderr(), ["this relay is to be another", id.as_str().expect("an id")]);
}

/// A store that cannot be reached is waited for, and one that cannot be used is not.
#[tokio::test]
async fn a_server_that_is_not_there_yet_is_waited_for() {
    let mut server = Server::start();
    let url = url(&server);
    server.stop();
    let mut early = spawn(&url, &[("METRICS_HOST", "127.0.0.1")]);
    eventually("it says why", || async { early.stderr().contains("tried again and again").then_some(()) }).await;
    early.signal(Signal::TERM);
    assert!(early.end().await.success(), "{}", early.stderr());
    let early = spawn(&url, &[]);
    eventually("it says why", || async { early.stderr().contains("PostgreSQL cannot be reached").then_some(()) }).await;
    server.begin();
    let relay = Relay::ready(early).await;
    assert!(relay.stop().await.success());
    for (url, told) in
        [(url.replace("/postgres", "/nowhere"), "nowhere"), ("postgres://h:port/d".to_owned(), "expected")]
    {
        let mut refused = spawn(&url, &[]);
        assert_eq!(refused.end().await.code(), Some(1), "{url}");
        assert_has(&refused.stderr(), ["SLIPSTREAM_STORE_URL", told]);
        assert!(!refused.stderr().contains(PASSWORD), "{}", refused.stderr());
    }
}

/// Where a standby is required there must be one before anything is confirmed, also at the start.
#[tokio::test]
async fn nothing_begins_without_the_standby_that_is_required() {
    let server = Server::start();
    let waiting = spawn(&url(&server), &[("SLIPSTREAM_REQUIRE", "standby")]);
    eventually("it says why", || async { waiting.stderr().contains("SLIPSTREAM_REQUIRE").then_some(()) }).await;
    let _standby = server.standby();
    server.sql(DATABASE, "ALTER SYSTEM SET synchronous_standby_names = '*'");
    server.sql(DATABASE, "SELECT pg_reload_conf()");
    let relay = Relay::ready(waiting).await;
    eventually("the guarantee", || async {
        let status = get(relay.admin, "/api/v1/status").await.json();
        status["store"]["guarantee"].to_string().contains("the loss of one disk").then_some(())
    })
    .await;
    assert_eq!(get(relay.admin, "/readyz").await.status, 200);
}

/// What does not go together is said with the variable, and where files are worked on PostgreSQL is not.
#[tokio::test]
async fn settings_that_do_not_go_together_are_faults() {
    let url = "postgres://h/d";
    for (environment, told) in [
        (vec![("SLIPSTREAM_STORE", "postgres")], "SLIPSTREAM_STORE_URL: it is missing"),
        (vec![("SLIPSTREAM_STORE_URL", url)], "SLIPSTREAM_STORE_URL: it is given, and SLIPSTREAM_STORE is"),
        (
            vec![("SLIPSTREAM_STORE_URL", "mysql://me:hunter2@h")],
            "SLIPSTREAM_STORE_URL (environment): expected postgres://",
        ),
        (vec![("SLIPSTREAM_REQUIRE", "standby")], "SLIPSTREAM_REQUIRE: `standby` is required, and SLIPSTREAM_STORE is"),
        (
            vec![
                ("SLIPSTREAM_REQUIRE", "standby"),
                ("SLIPSTREAM_STORE", "postgres"),
                ("SLIPSTREAM_STORE_URL", url),
                ("SLIPSTREAM_DURABILITY", "relaxed"),
            ],
            "SLIPSTREAM_DURABILITY is `relaxed`",
        ),
    ] {
        let (code, stdout, stderr) = ran(&["config", "check"], &environment).await;
        assert_eq!(code, Some(2), "{environment:?}: {stdout}{stderr}");
        assert!((stdout.clone() + &stderr).contains(told), "{told}: {stdout}{stderr}");
        assert!(!(stdout + &stderr).contains("hunter2"));
    }
    for command in [&["compact"][..], &["backup", "/tmp/copy"]] {
        let (code, told) = store(url, command).await;
        assert_eq!(code, Some(2), "{told}");
        assert_has(&told, ["SLIPSTREAM_STORE", "docs/postgres.md"]);
    }
}

/// A command on a store makes none.
#[tokio::test]
async fn where_there_is_no_store_none_is_made() {
    let server = Server::start();
    for command in ["stats", "check"] {
        let (code, told) = store(&url(&server), &[command]).await;
        assert_eq!(code, Some(1), "{told}");
        assert_has(&told, ["postgres://127.0.0.1:", "there is no store in this database"]);
    }
    assert_eq!(server.sql(DATABASE, "SELECT to_regnamespace('slipstream') IS NULL"), "t");
}
