//! The libraries at the far end, each of a version of its own, and how they are started.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::support::{npm_workshop_of, python_workshop_of, run, workshop};

const FOLDER: &str = "tests/far_ends";
const PACKAGES: &str = include_str!("package.json");
const REQUIREMENTS: &str = include_str!("requirements.txt");

/// Whether one of these packages is installed in this version.
pub(super) fn installs(version: &str) -> bool {
    PACKAGES.contains(&format!("\"{version}\"")) || REQUIREMENTS.contains(&format!("=={version}\n"))
}

/// What npm installs. The tests of this program share it.
async fn npm() -> PathBuf {
    let files = &["tests/far_ends/client.mjs", "tests/far_ends/server.mjs", "tests/far_ends/dial.mjs"];
    npm_workshop_of(FOLDER, "far-ends-npm", files).await
}

/// What pip installs.
async fn python() -> PathBuf {
    let files = &["tests/far_ends/client_websockets.py", "tests/far_ends/client_aiohttp.py"];
    python_workshop_of(FOLDER, "far-ends-python", files).await
}

/// What javac makes.
async fn java() -> &'static Path {
    static BUILT: OnceCell<PathBuf> = OnceCell::const_new();
    let build = async || {
        let folder = workshop("far-ends-java", &["tests/far_ends/Client.java"]);
        run("javac", ["Client.java"], &folder).await;
        folder
    };
    BUILT.get_or_init(build).await
}

/// Where npm puts a runtime for this machine. The packages `bun` and `deno` would copy it by scripts at their
/// installation.
fn program(runtime: &str) -> &'static str {
    match (runtime, cfg!(target_arch = "aarch64")) {
        ("bun", false) => "node_modules/@oven/bun-linux-x64/bin/bun",
        ("bun", true) => "node_modules/@oven/bun-linux-aarch64/bin/bun",
        ("deno", false) => "node_modules/@deno/linux-x64-glibc/deno",
        ("deno", true) => "node_modules/@deno/linux-arm64-glibc/deno",
        (other, _) => panic!("npm does not install {other} here"),
    }
}

/// What runs a script of JavaScript: Node, Bun or Deno.
pub(super) async fn javascript(runtime: &str, script: &str) -> Command {
    let folder = npm().await;
    let mut command = match runtime {
        "node" => started("node", &folder),
        installed => started(folder.join(program(installed)), &folder),
    };
    if runtime == "deno" {
        command.args(["run", "--allow-all", "--unstable-net"]);
    }
    command.arg(script);
    command
}

/// The client in a library, which wants URL, CA, CERT, KEY and TOKEN.
pub(super) async fn client(id: &str) -> Command {
    let (runtime, library) = match id {
        "ws-node" => ("node", "ws"),
        "ws-bun" => ("bun", "ws"),
        "bun" => ("bun", "bun"),
        "deno" => ("deno", "deno"),
        "java" => {
            let mut command = started("java", java().await);
            // For so short a life the best code is not worth its making.
            command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "Client"]);
            return command;
        }
        script => {
            let folder = python().await;
            let mut command = started(folder.join(".venv/bin/python"), &folder);
            command.arg(format!("client_{script}.py"));
            return command;
        }
    };
    let mut command = javascript(runtime, "client.mjs").await;
    command.arg(library);
    command
}

fn started(program: impl AsRef<OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).kill_on_drop(true);
    command
}
