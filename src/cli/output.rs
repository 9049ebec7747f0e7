//! What commands print: records on stdout, faults on stderr.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use crate::link::CloseCode;

use serde::Serialize;

/// The exit status of a command that failed while it ran.
pub(super) const FAILED: u8 = 1;

/// The exit status of a program that was not asked rightly.
pub(super) const MISUSED: u8 = 2;

/// Prints one line on stdout and flushes it.
///
/// # Errors
/// Where stdout is gone, which the error names; the command then ends, because nobody reads what it says.
pub(super) fn line(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(format!("{text}\n").as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|error| io::Error::new(error.kind(), format!("stdout: {error}")))
}

/// Clears the terminal, if stdout is one.
///
/// # Errors
/// As [`line`].
pub(super) fn clear() -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    // Clears the screen and goes to its corner.
    if stdout.is_terminal() { stdout.write_all(b"\x1b[2J\x1b[H") } else { Ok(()) }
}

/// Prints one record as JSON on one line of stdout and flushes it.
///
/// # Errors
/// As [`line`].
pub(super) fn record(record: &impl Serialize) -> io::Result<()> {
    line(&serde_json::to_string(record)?)
}

/// Tells on stderr what went wrong. Where stderr is gone, nobody is left to tell.
pub(super) fn complain(fault: &dyn Display) {
    let _ = writeln!(io::stderr().lock(), "slipstream: {fault}");
}

/// Tells on stderr what went wrong, and answers the exit status.
pub(super) fn fail(status: u8, fault: &dyn Display) -> ExitCode {
    complain(fault);
    ExitCode::from(status)
}

/// A text on one line without characters that a terminal acts on.
pub(super) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            _ if !character.is_control() => shown.push(character),
            _ => shown.extend(character.escape_default()),
        }
    }
    shown
}

/// JSON on one line. A line break in JSON can only stand between tokens, where a space means the same.
pub(super) fn one_line(json: &str) -> String {
    json.replace(['\n', '\r'], " ")
}

/// What a Close says, as the end of a sentence.
pub(super) fn close_reason(code: Option<CloseCode>, reason: &str) -> String {
    match (code, reason) {
        (None, _) => String::new(),
        (Some(code), "") => format!(": {code}"),
        (Some(code), reason) => format!(": {code} {}", printable(reason)),
    }
}
