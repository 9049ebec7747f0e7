//! The lock file that keeps a second process, or a second opening in this one, away from a store.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use slipstream_store::{Result, StoreError};

/// A lock that is held. It goes with the value or with the process, however that ends. The file stays: removing it
/// would let two others hold locks on two files of one name.
#[derive(Debug)]
pub struct StoreLock {
    _file: File,
}

impl StoreLock {
    /// Locks the file at `path`, which is made where it is missing, for the store at `store`.
    ///
    /// # Errors
    /// `InUse` with the store's path where another holds the lock; `Busy` where the file cannot be opened.
    pub fn acquire(path: &Path, store: &Path) -> Result<Self> {
        let fault = |what: &str, error: std::io::Error| {
            StoreError::Busy(format!("{what} the lock file {}: {error}", path.display()))
        };
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|error| fault("opening", error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse(PathBuf::from(store))),
            Err(TryLockError::Error(error)) => Err(fault("locking", error)),
        }
    }
}
