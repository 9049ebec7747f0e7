//! Folders in which scripts on other libraries run, and what they need to be installed.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use tokio::process::Command;
use tokio::sync::Mutex;

use super::within;

/// Runs a command, and ends the test with what it said if it fails.
pub async fn run<A: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = A>,
    folder: &Path,
) -> String {
    run_command(Command::new(program).args(arguments).current_dir(folder)).await
}

/// The same with a command that is made already.
pub async fn run_command(command: &mut Command) -> String {
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    let output = within(&name, command.kill_on_drop(true).output())
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
    let is_same = |file: &str| std::fs::read(source(file)).ok() == std::fs::read(copy(file)).ok();
    if folder.exists() && !is_same(files[0]) {
        std::fs::remove_dir_all(&folder).expect("an old folder goes");
    }
    std::fs::create_dir_all(&folder).expect("a folder");
    // What is there already may be in use.
    for file in files.iter().filter(|file| !is_same(file)) {
        std::fs::copy(source(file), copy(file)).expect("a file is copied");
    }
    folder
}

/// A folder with npm's packages and these files.
pub async fn npm_workshop(name: &str, files: &[&str]) -> PathBuf {
    npm_workshop_of("tests/applications", name, files).await
}

/// The same with the packages that another folder of the repository names.
pub async fn npm_workshop_of(source: &str, name: &str, files: &[&str]) -> PathBuf {
    let packages = ["package-lock.json", "package.json"].map(|file| format!("{source}/{file}"));
    let files = [&packages.each_ref().map(String::as_str), files].concat();
    let install = async |folder: &Path| {
        // No package needs its scripts here.
        run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder).await;
    };
    installed(name, &files, install).await
}

/// A folder with PyPI's packages and these files.
pub async fn python_workshop(name: &str, files: &[&str]) -> PathBuf {
    python_workshop_of("tests/applications", name, files).await
}

/// The same with the packages that another folder of the repository names.
pub async fn python_workshop_of(source: &str, name: &str, files: &[&str]) -> PathBuf {
    let requirements = format!("{source}/requirements.txt");
    let files = [&[requirements.as_str()], files].concat();
    let install = async |folder: &Path| {
        run("python3", ["-m", "venv", "--clear", ".venv"], folder).await;
        run(folder.join(".venv/bin/pip"), ["install", "--quiet", "--requirement", "requirements.txt"], folder).await;
    };
    installed(name, &files, install).await
}

/// A workshop in which `install` has run. Tests that share it may want it at once: one of them installs.
async fn installed(name: &str, files: &[&str], install: impl AsyncFnOnce(&Path)) -> PathBuf {
    static INSTALLING: Mutex<()> = Mutex::const_new(());
    let _alone = INSTALLING.lock().await;
    let folder = workshop(name, files);
    let mark = folder.join("installed");
    if !mark.exists() {
        install(&folder).await;
        std::fs::write(mark, "").expect("a file");
    }
    folder
}
