//! Sled's errors, and its panics, as the errors of a store.

use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};

use sled::Error;
use slipstream_embedded::system;
use slipstream_store::{Result, StoreError};

/// Calls sled. It panics if it finds what it did not expect, mostly in a damaged file.
pub(crate) fn caught<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(answer) => answer.map_err(|error| reading(&error)),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("for no reason given");
            Err(StoreError::Corrupted(format!("sled gave up: {text}")))
        }
    }
}

/// What an error means if nothing was written.
fn reading(error: &Error) -> StoreError {
    match error {
        Error::Io(io) => match io.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::InvalidData => StoreError::Corrupted(io.to_string()),
            _ => system::explain(io, io.to_string()),
        },
        Error::Unsupported(text) => StoreError::Unsupported(text.clone()),
        other => StoreError::Corrupted(other.to_string()),
    }
}

/// What an error of a write means. Sled refuses every write after one that failed, and what is on the medium shows
/// when it is opened anew.
pub(crate) fn writing(error: StoreError) -> StoreError {
    match error {
        StoreError::Busy(text)
        | StoreError::Full(text)
        | StoreError::Inaccessible(text)
        | StoreError::Corrupted(text) => StoreError::Poisoned(text),
        other => StoreError::Poisoned(other.to_string()),
    }
}
