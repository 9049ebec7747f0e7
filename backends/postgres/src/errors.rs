//! What the database says went wrong, as what the caller does next.

use std::path::PathBuf;

use slipstream_store::{InvalidId, Result, StoreError};
use tokio_postgres::error::{DbError, Severity, SqlState};
use tokio_postgres::{Error, Row};

/// The process was retired by another: it is to commit nothing more.
const RETIRED: &str = "SL001";

/// A batch names a sequence of its own, and its operations had changed places.
pub(crate) const NAMES_ITS_OWN: &str = "SL002";

/// Every sequence has been given.
const NO_MORE_SEQUENCES: &str = "SL003";

/// The store is one that a migration has not finished.
const UNFINISHED: &str = "SL005";

/// The roster is another than the one that messages were routed by.
const OUTDATED: &str = "SL004";

/// What kind of call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// One that changes nothing.
    Read,
    /// One that may have been committed if nothing was heard of it.
    Write,
}

/// The error of a call that had been sent.
pub(crate) fn failed(error: &Error, call: Call) -> StoreError {
    match (error.as_db_error(), call) {
        (Some(said), _) => refused(said, call),
        (None, _) if is_unsendable(error) => StoreError::Unsupported(format!("it cannot be sent: {}", text(error))),
        (None, Call::Write) => StoreError::Indeterminate(format!("the link to PostgreSQL was lost: {}", text(error))),
        (None, Call::Read) => StoreError::Unavailable(format!("the link to PostgreSQL was lost: {}", text(error))),
    }
}

/// The error of an attempt to connect: nothing was done.
pub(crate) fn unconnected(error: &Error) -> StoreError {
    match error.as_db_error() {
        Some(said) => refused(said, Call::Read),
        None => StoreError::Unavailable(format!("PostgreSQL cannot be reached: {}", text(error))),
    }
}

/// An answer that is not what this program's statements give.
pub(crate) fn unreadable(error: &Error) -> StoreError {
    StoreError::Corrupted(format!("PostgreSQL answered something else than was asked: {}", text(error)))
}

/// The row of a statement that answers one.
///
/// # Errors
/// `Corrupted` if there is none.
pub(crate) fn only(rows: &[Row]) -> Result<&Row> {
    rows.first().ok_or_else(|| StoreError::Corrupted("PostgreSQL answered no row".to_owned()))
}

/// What was read of a peer is none that this program wrote.
#[expect(clippy::needless_pass_by_value, reason = "it is given to `map_err`")]
pub(crate) fn damaged_peer(error: InvalidId) -> StoreError {
    StoreError::Corrupted(format!("a peer: {error}"))
}

/// What is said of a commit that the server warned of, or of which there may be too few copies.
pub(crate) fn doubtful() -> StoreError {
    StoreError::Indeterminate(
        "PostgreSQL warned while it committed, or does not wait for a standby any more; its log says more".to_owned(),
    )
}

/// Whether the link is of no use any more.
pub(crate) fn ends_link(error: &Error) -> bool {
    let Some(said) = error.as_db_error() else { return !is_unsendable(error) };
    let fatal = matches!(said.parsed_severity(), Some(Severity::Fatal | Severity::Panic));
    fatal || *said.code() == SqlState::READ_ONLY_SQL_TRANSACTION || said.code().code().starts_with("57P")
}

/// The error itself says only that there was one: its sources say which.
fn text(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

/// Whether a parameter does not fit into a message of the protocol: nothing was sent.
fn is_unsendable(error: &Error) -> bool {
    let text = error.to_string();
    text.starts_with("error serializing parameter") || text.starts_with("error encoding message")
}

fn refused(said: &DbError, call: Call) -> StoreError {
    let mut text = format!("PostgreSQL says {} ({})", said.message(), said.code().code());
    for more in [said.detail(), said.hint()].into_iter().flatten() {
        text = format!("{text}; {more}");
    }
    match said.code().code() {
        RETIRED => StoreError::Retired,
        OUTDATED => StoreError::Outdated,
        UNFINISHED => StoreError::Inaccessible(text),
        NO_MORE_SEQUENCES => StoreError::Full(text),
        // The server was told to stop, or stops because another of its processes crashed, while a commit may have waited
        // for a standby.
        "57P01" | "57P02" | "57P05" if call == Call::Write => StoreError::Indeterminate(text),
        "40001" | "40P01" | "55P03" | "53300" | "57P03" | "53200" => StoreError::Busy(text),
        "53100" => StoreError::Full(text),
        // A server that could not sync its log, or that finds damage.
        "58030" if call == Call::Write => StoreError::Indeterminate(text),
        "XX001" | "XX002" => StoreError::Corrupted(text),
        "0A000" => StoreError::Unsupported(text),
        code if ["28", "3D", "42"].iter().any(|class| code.starts_with(class)) => StoreError::Inaccessible(text),
        _ => StoreError::Unavailable(text),
    }
}

/// The store is open elsewhere.
pub(crate) fn in_use() -> StoreError {
    StoreError::InUse(PathBuf::from("the store in PostgreSQL"))
}
