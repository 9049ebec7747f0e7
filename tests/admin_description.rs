//! The description of the admin API in OpenAPI, held against what a relay answers.

#![cfg(test)]

mod support;

use serde_json::json;
use support::{Peer, Relay, eventually, get, python_workshop_of, run_command};

/// Schemathesis asks every path for what the description permits and for what it does not, and compares the answers with
/// it: statuses, headers, bodies. The relay has peers, a message and dead letters, so that there is something to find.
#[tokio::test]
async fn schemathesis_finds_no_answer_that_is_not_described() {
    let folder = tempfile::tempdir().expect("a folder");
    let backups = folder.path().join("backups");
    std::fs::create_dir(&backups).expect("it is made");
    let backups = format!("--backup-path={}", backups.display());
    let flags = ["--ack-timeout=50ms", "--max-message-republish-attempts=0", &backups];
    let relay = Relay::start(folder.path(), &flags).await;
    let _deaf = Peer::connect(&relay, "id=deaf&tags=x,y").await;
    let mut shop = Peer::connect(&relay, "id=shop").await;
    shop.publish(json!({"type": "SK", "key": "k", "value": 1, "messageId": "m"})).await;
    let dead = || async { (get(relay.admin, "/api/v1/status").await.json()["deadLetters"] == 1).then_some(()) };
    eventually("the dead letter", dead).await;

    let workshop =
        python_workshop_of("tests/description", "description", &["tests/description/schemathesis.toml"]).await;
    let mut command = tokio::process::Command::new(workshop.join(".venv/bin/schemathesis"));
    let description = format!("http://{}/api/v1/openapi.json", relay.admin);
    command.current_dir(&workshop).args(["--no-color", "run", &description, "--checks=all", "--max-examples=10"]);
    command.args(["--generation-deterministic", "--continue-on-failure"]);
    run_command(&mut command).await;
    assert_eq!(get(relay.admin, "/readyz").await.status, 200);
}

#[tokio::test]
async fn every_path_is_described() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[]).await;
    let description = get(relay.admin, "/api/v1/openapi.json").await.json();
    let mut operations = Vec::new();
    for (path, methods) in description["paths"].as_object().expect("paths") {
        operations.extend(
            methods.as_object().expect("methods").keys().map(|method| format!("{} {path}", method.to_uppercase())),
        );
    }
    operations.sort();
    let expected = [
        "DELETE /api/v1/dead-letters",
        "DELETE /api/v1/dead-letters/sweep",
        "DELETE /api/v1/peers/{id}",
        "GET /api/v1/backup",
        "GET /api/v1/dead-letters",
        "GET /api/v1/dead-letters/groups",
        "GET /api/v1/dead-letters/sweep",
        "GET /api/v1/dead-letters/{peer}/{sequence}",
        "GET /api/v1/history",
        "GET /api/v1/logging",
        "GET /api/v1/messages/{messageId}",
        "GET /api/v1/peers",
        "GET /api/v1/peers/{id}",
        "GET /api/v1/reconciliation/{id}",
        "GET /api/v1/reconciliation/{id}/messages",
        "GET /api/v1/status",
        "POST /api/v1/backup",
        "POST /api/v1/dead-letters/import",
        "POST /api/v1/dead-letters/redrive",
        "POST /api/v1/peers/{id}/disconnect",
        "POST /api/v1/peers/{id}/pause",
        "POST /api/v1/peers/{id}/resume",
        "PUT /api/v1/logging",
        "PUT /api/v1/peers/{id}",
    ];
    assert_eq!(operations, expected);
}
