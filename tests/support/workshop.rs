//! Folders in which scripts on other libraries run, and what they need to be installed.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::within;

/// Runs a command, and ends the test with what it said if it fails.
pub async fn run<A: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = A>,
    folder: &Path,
) -> String {
    let program = program.as_ref();
    let running = Command::new(program).args(arguments).current_dir(folder).kill_on_drop(true).output();
    let name = program.to_string_lossy();
    let output = within(&name, running)
        .await
        .unwrap_or_else(|error| panic!("{name}: {error}. tests/run installs what this test needs on Debian"));
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).join("\n");
    assert!(output.status.success(), "{name} ended with {}:\n{said}", output.status);
    said
}

/// A folder of its own under the target folder, with copies of these files of the repository. If the first of them,
/// which says what to install, is another than last time, the folder is made anew.
pub fn workshop(name: &str, files: &[&str]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let source = |file: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let copy = |file: &str| folder.join(Path::new(file).file_name().expect("a file has a name"));
    let same = std::fs::read(source(files[0])).ok() == std::fs::read(copy(files[0])).ok();
    if folder.exists() && !same {
        std::fs::remove_dir_all(&folder).expect("an old folder goes");
    }
    std::fs::create_dir_all(&folder).expect("a folder");
    for file in files {
        std::fs::copy(source(file), copy(file)).expect("a file is copied");
    }
    folder
}

/// A folder with npm's packages and these files.
pub async fn npm_workshop(name: &str, files: &[&str]) -> PathBuf {
    let packages = ["tests/applications/package-lock.json", "tests/applications/package.json"];
    let folder = workshop(name, &[&packages, files].concat());
    if !folder.join("node_modules/ws/package.json").exists() {
        run("npm", ["ci", "--no-audit", "--no-fund"], &folder).await;
    }
    folder
}

/// A folder with PyPI's packages and these files.
pub async fn python_workshop(name: &str, files: &[&str]) -> PathBuf {
    let folder = workshop(name, &[&["tests/applications/requirements.txt"], files].concat());
    let installed = folder.join("installed");
    if !installed.exists() {
        run("python3", ["-m", "venv", "--clear", ".venv"], &folder).await;
        run(folder.join(".venv/bin/pip"), ["install", "--quiet", "--requirement", "requirements.txt"], &folder).await;
        std::fs::write(&installed, "").expect("a file");
    }
    folder
}
