//! Errors of the operating system as errors of a store: the cause, the path, and what a person can do.

use std::io::{self, ErrorKind};
use std::path::Path;

use slipstream_store::StoreError;

/// What an error of the system means that was met doing `what` at `path`.
#[must_use]
pub fn fault(what: &str, path: &Path, error: &io::Error) -> StoreError {
    explain(error, format!("{what} {}: {error}", path.display()))
}

/// The same, if the text says what was done already.
#[must_use]
pub fn explain(error: &io::Error, text: String) -> StoreError {
    let refused = |remedy: &str| StoreError::Inaccessible(format!("{text}; {remedy}"));
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            StoreError::Full(format!("{text}; make room there, or name a path on another disk"))
        }
        ErrorKind::PermissionDenied => refused("the user that runs this needs the right to read and write there"),
        ErrorKind::ReadOnlyFilesystem => refused("mount the filesystem for writing, or name a path on another one"),
        ErrorKind::NotADirectory => refused("a part of the path is a file: name a folder"),
        ErrorKind::IsADirectory => refused("there is a folder: name a file"),
        ErrorKind::AlreadyExists => refused("something else has this name: move it away, or name another path"),
        ErrorKind::NotFound => refused("there is nothing at this path: is it mounted?"),
        ErrorKind::InvalidFilename => refused("name a shorter path"),
        _ => StoreError::Busy(text),
    }
}
