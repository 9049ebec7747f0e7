//! The manifest for Kubernetes, held against the schema of Kubernetes and against what the relay serves.

#![cfg(test)]

mod support;

use std::path::Path;

use support::{Relay, assert_has, get, python_workshop_of, run_command, written};

/// The oldest version of Kubernetes whose schema the manifest is held against, and the newest that the tool knows.
const VERSIONS: [&str; 2] = ["1.29", "1.37"];

/// Runs the validator over a manifest, and returns what it said, or the fault.
fn validate(workshop: &Path, version: &str, manifest: &Path) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(workshop.join(".venv/bin/kubernetes-validate"));
    command.args(["--strict", "--kubernetes-version", version]).arg(manifest);
    command
}

#[tokio::test]
async fn the_manifest_is_valid_and_its_probes_ask_for_pages_that_are_there() {
    let workshop = python_workshop_of("tests/kubernetes", "kubernetes", &[]).await;
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kubernetes.yaml");
    for version in VERSIONS {
        run_command(&mut validate(&workshop, version, &manifest)).await;
    }
    // It would find a fault.
    let text = std::fs::read_to_string(&manifest).expect("it is there");
    let folder = tempfile::tempdir().expect("a folder");
    let wrong = written(folder.path(), "wrong.yaml", &text.replace("failureThreshold", "failuresAllowed"));
    let output = validate(&workshop, VERSIONS[1], Path::new(&wrong)).output().await.expect("it runs");
    assert!(!output.status.success());
    assert_has(&String::from_utf8_lossy(&output.stdout), ["failuresAllowed"]);

    let relay = Relay::start(folder.path(), &[]).await;
    let paths: Vec<_> = text.split("httpGet: {path: ").skip(1).filter_map(|rest| rest.split(',').next()).collect();
    assert_eq!(paths, ["/healthz", "/readyz", "/healthz"], "startup, readiness, liveness");
    for path in paths {
        assert_eq!(get(relay.admin, path).await.status, 200);
    }
}
