//! Where the files of a store are.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use slipstream_store::{Result, StoreError};

/// The endings of a path that names the file itself.
const FILE_ENDINGS: [&str; 3] = ["db", "sqlite", "sqlite3"];

/// The paths of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The path as it was given.
    pub(crate) store: PathBuf,
    /// SQLite's file.
    pub(crate) file: PathBuf,
    /// The lock file.
    pub(crate) lock: PathBuf,
    /// Whether the path is a folder that is the store's own.
    pub(crate) folder_is_ours: bool,
}

impl Place {
    /// A path that ends in `.db`, `.sqlite` or `.sqlite3` is the file; any other is a folder.
    pub(crate) fn of(store: &Path) -> Self {
        let ending = store.extension().and_then(|ending| ending.to_str());
        let folder_is_ours = !ending.is_some_and(|ending| FILE_ENDINGS.contains(&ending));
        let (file, lock) = if folder_is_ours {
            (store.join("slipstream.db"), store.join("slipstream.lock"))
        } else {
            (store.to_owned(), crate::connect::beside(store, ".lock"))
        };
        Self { store: store.to_owned(), file, lock, folder_is_ours }
    }

    fn folder(&self) -> &Path {
        match self.file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    /// Makes the folder that the file is in; the store's own is for its user only.
    pub(crate) fn make_folder(&self) -> Result<()> {
        let folder = self.folder();
        if folder.is_dir() {
            return Ok(());
        }
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let made = builder.create(folder);
        made.map_err(|error| StoreError::Busy(format!("making the folder {}: {error}", folder.display())))
    }

    /// Makes the names of the files durable, and that of the folder.
    pub(crate) fn sync_folders(&self) -> Result<()> {
        let folder = self.folder();
        let parent = if self.folder_is_ours { folder.parent() } else { None };
        let parent = parent.map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
        for folder in [Some(folder), parent].into_iter().flatten() {
            let synced = File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(|error| StoreError::Busy(format!("syncing the folder {}: {error}", folder.display())))?;
        }
        Ok(())
    }
}
