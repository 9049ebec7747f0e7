//! How the files of a store are named.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// With what the names begin that belong to a store in its folder.
pub(crate) const PREFIX: &str = "slipstream.";

pub(crate) const LOCK: &str = "slipstream.lock";

/// How an engine names its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Files {
    /// The name of the data, a file or a folder, in a store's folder: `slipstream.` and something of the engine's.
    pub data: &'static str,
    /// What follows the name of the data in that of the log, if the engine keeps one beside them.
    pub log: Option<&'static str>,
    /// What follows the name of the data in the names of the files that the engine keeps beside them. They belong to the
    /// data and go with them; everything else there is the operator's.
    pub beside: &'static [&'static str],
    /// The names of the files within the data, if those are a folder, that stay for as long as the store is open.
    pub within: &'static [&'static str],
}

/// The path with something after its name.
#[must_use]
pub fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut path = OsString::from(file);
    path.push(suffix);
    PathBuf::from(path)
}

/// The folder that a path is in.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
