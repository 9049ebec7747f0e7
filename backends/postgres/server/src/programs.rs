//! Where PostgreSQL's programs are, and what runs before one.

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

/// The folder of the programs, if they are neither on the path nor where Debian has them.
const VARIABLE: &str = "SLIPSTREAM_POSTGRES_BIN";

/// Where Debian has them, a folder a version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The path of a program.
///
/// # Panics
/// If it is not installed.
pub(crate) fn find(program: &str) -> PathBuf {
    let named = env::var_os(VARIABLE).map(PathBuf::from);
    let on_path = env::var_os("PATH").map(|path| env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
    let mut versions: Vec<PathBuf> =
        fs::read_dir(DEBIAN).into_iter().flatten().flatten().map(|entry| entry.path().join("bin")).collect();
    versions.sort();
    // Not every user has these on the path.
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let folders = named.into_iter().chain(versions.into_iter().rev()).chain(on_path).chain(system);
    folders.map(|folder| folder.join(program)).find(|path| path.is_file()).unwrap_or_else(|| {
        panic!("`{program}` is not installed: apt-get install postgresql pgbouncer, or set {VARIABLE}")
    })
}

/// A program and its first arguments, with which another is run.
pub(crate) type Launch = (PathBuf, Vec<String>);

/// A command that begins so.
pub(crate) fn launch((program, arguments): &Launch) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}
