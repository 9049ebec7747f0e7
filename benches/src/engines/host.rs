//! What a comparison needs of the program around it.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::Command;

/// The program that compares. It knows the engines, and it is what each engine runs in.
pub trait Host: fmt::Debug + Sync {
    /// The command that serves the engine of this name over the store at `path`, by calling `serve`.
    fn worker(&self, engine: &'static str, path: &Path) -> Command;

    /// How many bytes are free on the filesystem of `folder`; nothing where it does not count.
    ///
    /// # Errors
    /// As the system says.
    fn free_bytes(&self, folder: &Path) -> io::Result<Option<u64>>;

    /// The date and time in UTC, in RFC 3339.
    fn date(&self) -> String;
}
