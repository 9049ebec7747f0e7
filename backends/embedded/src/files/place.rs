//! The paths of a store: its folder or file, and what stands there beside the data.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use slipstream_store::{Durability, Result};

use crate::files::folders::{make_folders, resolved};
use crate::files::names::{Files, LOCK, PREFIX, beside, parent};
use crate::files::staging::{Staging, Work, each_file};
use crate::files::system;

/// Where a store is, and what its commits must survive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// The store's folder; an engine of one file may take the file's own path too.
    pub path: PathBuf,
    /// What commits must survive.
    pub durability: Durability,
}

impl StoreOptions {
    /// The store at this path, with [`Durability::Full`].
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().to_owned(), durability: Durability::default() }
    }

    /// What commits must survive.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }
}

/// The paths of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    store: PathBuf,
    files: Files,
    /// Whether the store has a folder for itself; otherwise it is the data file.
    is_folder: bool,
}

impl Place {
    /// A store that has the folder `store` for itself.
    #[must_use]
    pub fn folder(store: &Path, files: Files) -> Self {
        Self { store: store.to_owned(), files, is_folder: true }
    }

    /// A store whose data file is `store`; others may stand beside it.
    #[must_use]
    pub fn file(store: &Path, files: Files) -> Self {
        Self { store: store.to_owned(), files, is_folder: false }
    }

    /// A place of the same engine whose data are at `data`, whatever their name.
    #[must_use]
    pub fn of_data(&self, data: &Path) -> Self {
        Self { store: data.to_owned(), is_folder: false, ..self.clone() }
    }

    /// The same kind of place elsewhere.
    pub(crate) fn at(&self, store: PathBuf) -> Self {
        Self { store, ..self.clone() }
    }

    /// The path that names the store: its folder, or its file.
    #[must_use]
    pub fn store(&self) -> &Path {
        &self.store
    }

    /// How its engine names its files.
    pub(crate) fn files(&self) -> &Files {
        &self.files
    }

    /// Whether the store has a folder for itself.
    pub(crate) fn is_folder(&self) -> bool {
        self.is_folder
    }

    /// The path of the data.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        if self.is_folder { self.store.join(self.files.data) } else { self.store.clone() }
    }

    /// The log of the data, if the engine keeps one beside them.
    #[must_use]
    pub fn log(&self) -> Option<PathBuf> {
        self.files.log.map(|suffix| beside(&self.data(), suffix))
    }

    /// Whether there is a log with anything in it; nothing if the engine keeps none.
    pub(crate) fn has_log(&self) -> Option<bool> {
        self.log().map(|log| fs::metadata(log).is_ok_and(|log| log.len() > 0))
    }

    /// The file that has everything.
    pub(crate) fn witness(&self) -> PathBuf {
        self.files.within.first().map_or_else(|| self.data(), |within| self.data().join(within))
    }

    /// The lock file, which holds the marker too.
    pub(crate) fn lock_path(&self) -> PathBuf {
        let data = self.data();
        // A file that is called as data in a folder are may be meant as that folder's store too: one lock for both.
        let is_folders = data.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        if is_folders { data.with_file_name(LOCK) } else { beside(&data, ".lock") }
    }

    /// The files that the engine has beside the data now.
    pub(crate) fn side_files(&self) -> Vec<PathBuf> {
        let data = self.data();
        let named = self.files.beside.iter().map(|suffix| beside(&data, suffix));
        named.filter(|file| file.symlink_metadata().is_ok()).collect()
    }

    /// Whether the data of a store are here. An empty file is what a crash leaves of a store that was never made.
    #[must_use]
    pub fn has_store(&self) -> bool {
        fs::metadata(self.data()).is_ok_and(|data| data.is_dir() || data.len() > 0)
    }

    /// Where such work makes a store for this place.
    #[must_use]
    pub fn staging(&self, work: Work) -> Staging {
        if self.is_folder {
            Staging::at(self.store.join(work.name()))
        } else {
            Staging::beside(&self.store, &format!(".{}", work.name()))
        }
    }

    /// Whether a migration into this place was interrupted.
    #[must_use]
    pub fn is_half_migrated(&self) -> bool {
        !self.has_store() && self.staging(Work::Migrating).path().exists()
    }

    /// How many bytes the store's files have, those included that the engine keeps beside the data while it is open.
    ///
    /// # Errors
    /// `Busy` if they cannot be read.
    pub fn bytes(&self) -> Result<u64> {
        let mut files = self.side_files();
        files.push(self.data());
        files
            .iter()
            .try_fold(0, |sum, file| Ok(sum + size(file).map_err(|error| system::fault("reading", file, &error))?))
    }

    /// Whether what is at `path` is in this store, or would be taken for a part of it.
    #[must_use]
    pub fn holds(&self, path: &Path) -> bool {
        let (path, store) = (resolved(path), resolved(&self.store));
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // What begins with the name of a store's file may be its log, its lock or its staging.
        let is_beside = !self.is_folder && path.parent() == store.parent() && name(&path).starts_with(&name(&store));
        is_beside || path.starts_with(&store)
    }

    /// Makes the names of the files durable, and that of the folder.
    ///
    /// # Errors
    /// `Busy` if a folder cannot be synced.
    pub fn sync(&self) -> Result<()> {
        let folder = self.parent_of_data();
        let above = self.is_folder.then(|| parent(folder));
        for folder in [Some(folder), above].into_iter().flatten() {
            let synced = File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(|error| system::fault("syncing the folder", folder, &error))?;
        }
        Ok(())
    }

    /// Makes the folder durably if it is missing, and those above it.
    pub(crate) fn make_folder(&self) -> Result<()> {
        make_folders(self.parent_of_data())
    }

    fn parent_of_data(&self) -> &Path {
        if self.is_folder { &self.store } else { parent(&self.store) }
    }
}

fn size(path: &Path) -> io::Result<u64> {
    let mut sum = 0;
    each_file(path, &mut |file| {
        let file = fs::metadata(file)?;
        sum += if file.is_file() { file.len() } else { 0 };
        Ok(())
    })?;
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: Files = Files { data: "slipstream.x", within: &[], log: Some("-wal"), beside: &["-wal"] };

    #[test]
    fn a_store_holds_what_is_in_it_and_what_has_its_name_however_it_is_spelled() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        fs::create_dir_all(at("real/below")).unwrap();
        std::os::unix::fs::symlink(at("real/below"), at("link")).unwrap();
        let store = Place::folder(&at("link/store"), X);
        for path in ["real/below/store", "link/store/backups", "real/../link/store/slipstream.y", "link/store/.."] {
            assert_eq!(store.holds(&at(path)), !path.ends_with(".."), "{path}");
        }
        let file = Place::file(&at("link/orders.db"), X);
        for path in ["real/below/orders.db", "link/orders.db-wal", "link/../below/orders.db.compacting"] {
            assert!(file.holds(&at(path)), "{path}");
        }
        for path in ["link/2026.db", "link/old.orders.db", "orders.db", "orders.db-2026", "link"] {
            assert!(!file.holds(&at(path)) && !store.holds(&at(path)), "{path}");
        }
    }

    #[test]
    fn the_staging_of_a_file_is_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::file(&folder.path().join("orders.db"), X);
        assert!(!place.has_store() && !place.is_half_migrated());
        let staging = place.staging(Work::Migrating).make_folder().unwrap();
        assert_eq!(staging, folder.path().join("orders.db.migrating"));
        assert!(place.is_half_migrated());
        fs::write(staging.join("half"), "").unwrap();
        place.staging(Work::Migrating).make_folder().unwrap();
        assert_eq!(fs::read_dir(&staging).unwrap().count(), 0, "it begins anew");
        place.staging(Work::Migrating).remove().unwrap();
        place.staging(Work::Migrating).remove().unwrap();
        assert!(!place.is_half_migrated());
    }
}
