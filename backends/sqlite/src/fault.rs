//! SQLite's errors as the errors of a store.

use rusqlite::{Error, ErrorCode};
use slipstream_store::StoreError;

/// What an error means where nothing was written, or what was written was rolled back.
pub(crate) fn reading(error: &Error) -> StoreError {
    let text = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
            StoreError::Busy(text)
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::TypeMismatch) => {
            StoreError::Corrupted(text)
        }
        Some(ErrorCode::DiskFull) => StoreError::Full(text),
        Some(ErrorCode::TooBig) => StoreError::Unsupported(text),
        // A row of other types, or a table that is missing, was not written by this program.
        None | Some(ErrorCode::Unknown) => StoreError::Corrupted(text),
        Some(_) => StoreError::Busy(text),
    }
}

/// What an error of a write means, given whether the transaction was surely rolled back.
pub(crate) fn writing(error: &Error, rolled_back: bool) -> StoreError {
    let code = error.sqlite_error_code();
    if !rolled_back || code == Some(ErrorCode::SystemIoFailure) {
        // What a sync that failed has left on the medium is not known, and a second one may answer Ok wrongly.
        return StoreError::Poisoned(error.to_string());
    }
    match reading(error) {
        StoreError::Corrupted(text) => StoreError::Poisoned(text),
        other => other,
    }
}
