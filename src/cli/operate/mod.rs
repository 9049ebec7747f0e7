//! Commands that ask the admin API of a running relay: what an operator sees and does.
//!
//! | file | subject |
//! | --- | --- |
//! | `status`, `top`, `monitor`, `trace`, `peers`, `dead_letters`, `log` | one command each |
//! | `exports` | dead letters as lines, out and in again |
//! | `follow` | the way of a message across relays |
//! | `reconcile` | what two relays disagree on |
//! | `table` | tables on the terminal |
//! | `flags` | what all of them take |
//! | `consent` | asking before something is lost |

mod consent;
pub(super) mod dead_letters;
mod exports;
mod flags;
mod follow;
pub(super) mod log;
pub(super) mod monitor;
pub(super) mod peers;
pub(super) mod reconcile;
pub(super) mod status;
mod table;
pub(super) mod top;
pub(super) mod trace;

use std::process::ExitCode;

use super::failure::Failure;

/// What came of a command.
type Done = Result<ExitCode, Failure>;

/// Tells why a command failed, if it did.
pub(super) fn told(done: Done) -> ExitCode {
    done.unwrap_or_else(Failure::told)
}
