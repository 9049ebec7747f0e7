//! Texts that come from files and from stdin.

use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

/// Largest settings file that is read.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Reads a file of at most [`MAX_FILE_BYTES`].
///
/// # Errors
/// In words, where it cannot be opened or read, is larger, or is not UTF-8.
pub fn read_file(path: &Path) -> io::Result<String> {
    let file = std::fs::File::open(path).and_then(|file| match file.metadata()?.is_dir() {
        true => Err(ErrorKind::IsADirectory.into()),
        false => Ok(file),
    });
    read_text(file.map_err(|error| {
        let cause = match error.kind() {
            ErrorKind::NotFound => "there is no such file".to_owned(),
            ErrorKind::IsADirectory => "it is a folder".to_owned(),
            ErrorKind::NotADirectory => "a part of its path is no folder".to_owned(),
            ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
            _ => return error,
        };
        io::Error::new(error.kind(), format!("{cause} ({error})"))
    })?)
}

/// Reads a text of at most [`MAX_FILE_BYTES`], without the byte order mark that some editors put before it.
///
/// # Errors
/// In words, where it cannot be read, is larger, or is not UTF-8.
pub fn read_text(source: impl io::Read) -> io::Result<String> {
    let invalid = |kind, problem: String| Err(io::Error::new(kind, problem));
    let mut bytes = Vec::new();
    if source.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)? as u64 > MAX_FILE_BYTES {
        return invalid(ErrorKind::FileTooLarge, format!("it is larger than {MAX_FILE_BYTES} bytes"));
    }
    if let [0xff, 0xfe, ..] | [0xfe, 0xff, ..] = bytes.as_slice() {
        return invalid(ErrorKind::InvalidData, "it is UTF-16; save it as UTF-8".to_owned());
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(without_mark(&text).to_owned()),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let line = 1 + error.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count();
            invalid(ErrorKind::InvalidData, format!("it is not UTF-8 from line {line} on"))
        }
    }
}

/// A text without the byte order mark before it.
pub(super) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}
