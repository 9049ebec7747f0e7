//! LMDB's errors as the errors of a store.

use std::io;
use std::path::Path;

use heed::{Error, MdbError};
use slipstream_store::StoreError;

/// What an error means if nothing was written, or what was written was undone.
pub(crate) fn reading(error: &Error) -> StoreError {
    let text = error.to_string();
    match error {
        Error::Io(error) => system(error, text),
        Error::Mdb(MdbError::MapFull) => StoreError::Full(text),
        Error::Mdb(MdbError::ReadersFull | MdbError::DbsFull) | Error::EnvAlreadyOpened => StoreError::Busy(text),
        Error::Mdb(MdbError::VersionMismatch | MdbError::TxnFull | MdbError::BadValSize) => {
            StoreError::Unsupported(text)
        }
        Error::Mdb(MdbError::Panic) => StoreError::Poisoned(text),
        // What else LMDB says of a page or a table does not happen to a whole file.
        Error::Mdb(_) | Error::Encoding(_) | Error::Decoding(_) => StoreError::Corrupted(text),
    }
}

/// What an error of a write means that was surely undone.
pub(crate) fn writing(error: &Error) -> StoreError {
    match reading(error) {
        // What a write or a sync that failed has left on the medium is not known, and a second one may answer Ok wrongly.
        StoreError::Corrupted(text) | StoreError::Busy(text) | StoreError::Inaccessible(text) => {
            StoreError::Poisoned(text)
        }
        other => other,
    }
}

/// What an error of the operating system means.
pub(crate) fn system(error: &io::Error, text: String) -> StoreError {
    slipstream_embedded::system::explain(error, text)
}

/// The error with the path of the file that it is about.
pub(crate) fn about(file: &Path, error: StoreError) -> StoreError {
    let named = |text: String| format!("{}: {text}", file.display());
    match error {
        StoreError::Corrupted(text) => StoreError::Corrupted(named(text)),
        StoreError::Unsupported(text) => StoreError::Unsupported(named(text)),
        StoreError::Busy(text) => StoreError::Busy(named(text)),
        StoreError::Full(text) => StoreError::Full(named(text)),
        StoreError::Inaccessible(text) => StoreError::Inaccessible(named(text)),
        other => other,
    }
}
