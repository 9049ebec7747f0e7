//! The lock file that keeps a second process, or a second opening in this one, away from a store.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use slipstream_store::{Result, StoreError};

use crate::files::system;
use crate::files::watch::Watch;

/// A lock that is held. It goes with the value or with the process, however that ends. The file stays; only who holds the
/// lock may remove it.
#[derive(Debug)]
pub struct StoreLock {
    file: File,
    store: PathBuf,
    /// The files of the store: the lock itself, and those that the engine writes.
    files: Vec<PathBuf>,
}

impl StoreLock {
    /// Locks the file at `path`, which is made if it is missing, for the store at `store`.
    ///
    /// # Errors
    /// `InUse` with the store's path if another holds the lock; `Inaccessible`, `Full` or `Busy` if the file cannot
    /// be opened.
    pub fn acquire(path: &Path, store: &Path) -> Result<Self> {
        let fault = |what: &str, error: std::io::Error| system::fault(&format!("{what} the lock file"), path, &error);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|error| fault("opening", error))?;
        match file.try_lock() {
            Ok(()) if is_at(&file, path) => {
                Ok(Self { file, store: PathBuf::from(store), files: vec![PathBuf::from(path)] })
            }
            // Who held it until now has removed it; the next may hold another of the same name.
            Ok(()) | Err(TryLockError::WouldBlock) => Err(StoreError::InUse(PathBuf::from(store))),
            Err(TryLockError::Error(error)) => Err(fault("locking", error)),
        }
    }

    /// The lock of a store that has these files.
    pub(crate) fn of(mut self, files: impl IntoIterator<Item = PathBuf>) -> Self {
        self.files.extend(files);
        self
    }

    /// Watches the files of the store, now that its engine has opened them.
    pub(crate) fn watch(&self) -> Result<Watch> {
        // Also if it is told relative to a folder, which may be moved too.
        let files = self.files.iter().map(|file| std::path::absolute(file).unwrap_or_else(|_| file.clone()));
        Watch::over(&self.store, files)
    }

    /// The file, which holds the marker of the store.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let number = |of: fs::Metadata| (of.dev(), of.ino());
    file.metadata().is_ok_and(|open| fs::metadata(path).is_ok_and(|there| number(there) == number(open)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_on_a_file_that_was_removed_is_no_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let lock = StoreLock::acquire(&path, folder.path()).unwrap();
        assert!(is_at(&lock.file, &path));
        fs::remove_file(&path).unwrap();
        assert!(!is_at(&lock.file, &path), "it is gone");
        let next = StoreLock::acquire(&path, folder.path()).unwrap();
        assert!(!is_at(&lock.file, &path) && is_at(&next.file, &path), "it is another");
    }
}
