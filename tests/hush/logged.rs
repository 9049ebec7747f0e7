//! A relay that logs at the lowest level, and all of whose log is kept.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use super::secrets::Secrets;
use crate::support::{Process, Relay, Signal, eventually, get, put};

/// A relay, all of whose log goes to a file.
pub(super) struct Logged {
    pub(super) relay: Relay,
    log: PathBuf,
}

impl Logged {
    /// Starts a relay over a store in the folder, with further flags and variables.
    pub(super) async fn start(folder: &Path, flags: &[&str], environment: &[(&str, &str)]) -> Self {
        fs::create_dir_all(folder).expect("a folder");
        let log = folder.join("log");
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" 2> \"$LOG\"", env!("CARGO_BIN_EXE_slipstream")]);
        command.args(["serve", "--listen=127.0.0.1:0", "--metrics-port=0", "--enable-debug-logs"]);
        command.arg(format!("--storage-path={}", folder.join("store").display())).args(flags);
        let soon = [("SLIPSTREAM_SHUTDOWN_TIMEOUT", "2s"), ("RUST_BACKTRACE", "1")];
        command.env_clear().env("LOG", &log).envs(soon).envs(environment.iter().copied());
        let relay = Relay::ready(Process::of(command)).await;
        put(relay.admin, "/api/v1/logging", r#"{"level":"trace"}"#).await;
        Self { relay, log }
    }

    pub(super) fn said(&self) -> String {
        fs::read_to_string(&self.log).expect("a log")
    }

    /// Waits until the log has this.
    pub(super) async fn says(&self, part: &str) {
        eventually(part, || async { self.said().contains(part).then_some(()) }).await;
    }

    /// Stops the relay and looks for secrets in all that it printed, and on its pages.
    pub(super) async fn end(mut self, secrets: &mut Secrets, name: &str) {
        for path in ["/metrics", "/readyz", "/healthz", "/api/v1/logging", "/api/v1/backup", "/nowhere"] {
            secrets.look(&format!("{name} at {path}"), &get(self.relay.admin, path).await.body);
        }
        self.relay.process.signal(Signal::TERM);
        assert!(self.relay.process.end().await.success(), "{}", self.said());
        assert!(self.said().contains("DEBUG"), "{}", self.said());
        secrets.look(&format!("{name} on stdout"), &self.relay.process.stdout());
        secrets.look(&format!("{name} in its log"), &self.said());
    }
}

/// An auth file for this token, whose hash is a secret too.
pub(super) fn table(secrets: &mut Secrets, token: &str) -> String {
    let hash: String = Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect();
    secrets.keep("the hash", &hash);
    format!("[[credential]]\ntoken_sha256 = \"{hash}\"\nid = \"*\"\ntags = [\"*\"]\nrelay = true\n\n")
}
