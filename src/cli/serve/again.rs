//! Starts the program again in the place of this process: the others that share its store took it for dead, and nothing of
//! what it knows may be used any more.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::anyhow;

/// The program that runs, also if another was put in its place meanwhile.
const OWN: &str = "/proc/self/exe";

/// Runs the same program with the same arguments and environment. What this process has open is closed.
///
/// # Errors
/// Always: where it returns, the program could not be started.
pub(super) fn start() -> anyhow::Error {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| OWN.into());
    let error = Command::new(OWN).arg0(name).args(arguments).exec();
    anyhow!(error).context("the relay could not be started again")
}
