//! What is sent: a value, the content of a file, or the lines of stdin or of a file.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::Path;

use tokio::io::AsyncRead;

use super::arguments::Arguments;
use crate::cli::lines::{self, Lines, MAX_LINE_BYTES};

/// An input that is open.
pub(super) enum Input {
    /// One value.
    One(String),
    /// One value a line.
    Lines {
        /// Where they come from.
        lines: Lines<Box<dyn AsyncRead + Unpin + Send>>,
        /// Its name in messages.
        name: String,
        /// Whether a person types them.
        typed: bool,
    },
}

impl Input {
    /// Opens what `arguments` name. A file that holds one value is read.
    ///
    /// # Errors
    /// If there is no such file, or it cannot be read or is not text; in words.
    pub(super) fn open(arguments: &Arguments) -> Result<Self, String> {
        let file = arguments.file.as_deref().filter(|path| *path != Path::new("-"));
        match (&arguments.value, &arguments.file, file) {
            (Some(value), _, _) if !arguments.is_stream() => Ok(Self::One(value.clone())),
            (None, Some(_), None) => Ok(Self::One(whole("stdin", io::stdin().lock())?)),
            (None, _, Some(path)) => Ok(Self::One(whole(&named(path), open(path)?)?)),
            (_, _, Some(path)) => {
                let file = tokio::fs::File::from_std(open(path)?);
                Ok(Self::Lines { lines: Lines::new(Box::new(file)), name: named(path), typed: false })
            }
            (_, _, None) => {
                let typed = io::stdin().is_terminal();
                Ok(Self::Lines { lines: Lines::new(Box::new(tokio::io::stdin())), name: "stdin".to_owned(), typed })
            }
        }
    }

    /// Whether a person types it.
    pub(super) fn is_typed(&self) -> bool {
        matches!(self, Self::Lines { typed: true, .. })
    }

    /// The value, if there is only one.
    pub(super) fn only(&self) -> Option<&str> {
        match self {
            Self::One(text) => Some(text),
            Self::Lines { .. } => None,
        }
    }
}

fn named(path: &Path) -> String {
    path.display().to_string()
}

fn open(path: &Path) -> Result<File, String> {
    lines::open(path).map_err(|fault| format!("--file: {fault}"))
}

/// All that an input holds, as it stands there; only a byte order mark before it is left out.
fn whole(name: &str, input: impl io::Read) -> Result<String, String> {
    let mut text = String::new();
    input.take(MAX_LINE_BYTES + 1).read_to_string(&mut text).map_err(|error| format!("--file: {name}: {error}"))?;
    if text.len() as u64 > MAX_LINE_BYTES {
        return Err(format!("--file: {name}: it is longer than {MAX_LINE_BYTES} bytes"));
    }
    Ok(text.strip_prefix('\u{FEFF}').map(str::to_owned).unwrap_or(text))
}
