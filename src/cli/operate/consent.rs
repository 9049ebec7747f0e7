//! Asking before something is lost.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use crate::cli::failure::Failure;

/// Whether an operator agrees to what `loss` says: by `--yes`, or by an answer at the terminal.
///
/// # Errors
/// If there is nobody to ask.
pub(super) fn consent(yes: bool, loss: &str) -> Result<bool, Failure> {
    if yes {
        return Ok(true);
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::Misused(format!("{loss}; expected --yes, since there is no terminal to ask at")));
    }
    let mut stderr = io::stderr().lock();
    write!(stderr, "{loss}. Go on? [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
