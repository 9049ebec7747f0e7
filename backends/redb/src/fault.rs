//! redb's errors as the errors of a store, and its panics too.

use std::any::Any;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use redb::Error;
use slipstream_embedded::system;
use slipstream_store::{Result, StoreError};

/// Does something with redb, which panics on some damaged pages. What it panicked about is an error like others: after
/// one within a commit redb refuses to write, and reading changes nothing that a panic could leave in part.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(Error::Corrupted(text_of(&*panic))))
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    format!("redb panicked: {}", text.unwrap_or("without a text"))
}

/// What an error means while a store is opened or made, when nothing that was there has been written.
pub(crate) fn opening(error: Error) -> StoreError {
    match error {
        Error::DatabaseAlreadyOpen | Error::LockProtocolMismatch => StoreError::Busy(error.to_string()),
        Error::UpgradeRequired(_) => StoreError::Unsupported(error.to_string()),
        Error::Io(error) => match error.kind() {
            // redb found the header in order and a page behind the end of the file; or no header at all.
            ErrorKind::UnexpectedEof | ErrorKind::InvalidData => StoreError::Corrupted(error.to_string()),
            _ => system::explain(&error, error.to_string()),
        },
        other => reading(other),
    }
}

/// What an error of reading an open store means.
pub(crate) fn reading(error: Error) -> StoreError {
    let text = error.to_string();
    match error {
        Error::Corrupted(_) => StoreError::Corrupted(text),
        // A table that is missing or of other types was not made by this program.
        Error::TableDoesNotExist(_)
        | Error::TableTypeMismatch { .. }
        | Error::TableIsMultimap(_)
        | Error::TypeDefinitionChanged { .. } => StoreError::Corrupted(text),
        Error::Io(error) if error.kind() == ErrorKind::UnexpectedEof => StoreError::Corrupted(text),
        Error::DatabaseClosed => StoreError::Closed,
        Error::ValueTooLarge(_) => StoreError::Unsupported(text),
        // After any error of input or output redb refuses everything until it is opened anew.
        _ => StoreError::Poisoned(text),
    }
}

/// What an error of a commit means. What a commit that failed has left on the medium is not known.
pub(crate) fn writing(error: Error) -> StoreError {
    match reading(error) {
        StoreError::Corrupted(text) => StoreError::Poisoned(text),
        other => other,
    }
}

/// What an error of writing what was held back means. Of the commit itself nothing was done yet.
pub(crate) fn letting_through(error: &std::io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StoreError::Full(error.to_string()),
        // What a sync that failed has left on the medium is not known, and a second one may answer Ok wrongly.
        _ => StoreError::Poisoned(error.to_string()),
    }
}

/// Names the file in what a person reads.
pub(crate) fn about(file: &Path, error: StoreError) -> StoreError {
    let path = file.display().to_string();
    let named = |text: String| if text.contains(&path) { text } else { format!("{path}: {text}") };
    match error {
        StoreError::Corrupted(text) => StoreError::Corrupted(named(text)),
        StoreError::Unsupported(text) => StoreError::Unsupported(named(text)),
        StoreError::Busy(text) => StoreError::Busy(named(text)),
        StoreError::Full(text) => StoreError::Full(named(text)),
        StoreError::Inaccessible(text) => StoreError::Inaccessible(named(text)),
        other => other,
    }
}
