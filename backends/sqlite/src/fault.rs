//! SQLite's errors as the errors of a store.

use rusqlite::ffi::{SQLITE_IOERR_SHMMAP, SQLITE_IOERR_SHMSIZE, SQLITE_IOERR_TRUNCATE, SQLITE_IOERR_WRITE};
use rusqlite::{Error, ErrorCode};
use slipstream_store::StoreError;

/// What an error means if nothing was written, or what was written was rolled back.
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
    if rolled_back && is_write(error) {
        // A quota is to SQLite no full disk. What was written in part is written over by the next commit.
        return StoreError::Full(format!("the disk takes no more, or a quota is used up: {error}"));
    }
    if !rolled_back || code == Some(ErrorCode::SystemIoFailure) {
        // What a sync that failed has left on the medium is not known, and a second one may answer Ok wrongly.
        return StoreError::Poisoned(error.to_string());
    }
    match reading(error) {
        StoreError::Corrupted(text) => StoreError::Poisoned(text),
        other => other,
    }
}

/// Whether it failed while something was written, and not while that was synced.
fn is_write(error: &Error) -> bool {
    const WRITES: [i32; 4] = [SQLITE_IOERR_WRITE, SQLITE_IOERR_TRUNCATE, SQLITE_IOERR_SHMSIZE, SQLITE_IOERR_SHMMAP];
    error.sqlite_error().is_some_and(|error| WRITES.contains(&error.extended_code))
}
