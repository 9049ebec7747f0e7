//! Applications on the libraries that people use, npm's `ws` and PyPI's `websockets`, each with its defaults untouched.
//!
//! The scripts stand in `applications/`. They want node with npm, and python3 with venv; the libraries are installed
//! under the target folder at the first run.

#![cfg(test)]

mod support;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use support::{Relay, within};
use tokio::process::Command;

/// Runs a command, and ends the test with what it said where it fails.
async fn run<A: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = A>,
    folder: &Path,
) -> String {
    let program = program.as_ref();
    let running = Command::new(program).args(arguments).current_dir(folder).kill_on_drop(true).output();
    let name = program.to_string_lossy();
    let output = within(&name, running).await.unwrap_or_else(|error| {
        panic!("{name}: {error}. This test wants node, npm, and python3 with venv (on Debian: apt-get install nodejs npm python3-venv)")
    });
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).join("\n");
    assert!(output.status.success(), "{name} ended with {}:\n{said}", output.status);
    said
}

/// A folder of its own under the target folder, with copies of these files of `applications/`. Where the first of them,
/// which says what to install, is another than last time, the folder is made anew.
fn workshop(name: &str, files: &[&str]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/applications");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let same = std::fs::read(source.join(files[0])).ok() == std::fs::read(folder.join(files[0])).ok();
    if folder.exists() && !same {
        std::fs::remove_dir_all(&folder).expect("an old folder goes");
    }
    std::fs::create_dir_all(&folder).expect("a folder");
    for file in files {
        std::fs::copy(source.join(file), folder.join(file)).expect("a file is copied");
    }
    folder
}

#[tokio::test]
async fn an_application_on_npm_ws() {
    let store = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(store.path(), &[]).await;
    let folder = workshop("ws", &["package-lock.json", "package.json", "application.mjs"]);
    if !folder.join("node_modules/ws/package.json").exists() {
        run("npm", ["ci", "--no-audit", "--no-fund"], &folder).await;
    }
    let said = run("node", ["application.mjs", &relay.url()], &folder).await;
    support::assert_has(&said, ["is content"]);
}

#[tokio::test]
async fn an_application_on_pypi_websockets() {
    let store = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(store.path(), &[]).await;
    let folder = workshop("websockets", &["requirements.txt", "application.py"]);
    let installed = folder.join("installed");
    if !installed.exists() {
        run("python3", ["-m", "venv", "--clear", ".venv"], &folder).await;
        run(folder.join(".venv/bin/pip"), ["install", "--quiet", "--requirement", "requirements.txt"], &folder).await;
        std::fs::write(&installed, "").expect("a file");
    }
    let said = run(folder.join(".venv/bin/python"), ["application.py", &relay.url()], &folder).await;
    support::assert_has(&said, ["is content"]);
}
