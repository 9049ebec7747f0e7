//! Where a store is: its folder or file, its lock, and what makes their names durable.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};

use slipstream_store::{Durability, Result, StoreError};

use crate::install::Work;
use crate::lock::StoreLock;
use crate::{foreign, system};

/// With what the names begin that belong to a store in its folder.
pub(crate) const PREFIX: &str = "slipstream.";

pub(crate) const LOCK: &str = "slipstream.lock";

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

/// How an engine names its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Files {
    /// The name of the data, a file or a folder, in a store's folder: `slipstream.` and something of the engine's.
    pub data: &'static str,
    /// What follows the name of the data in that of the log, where the engine keeps one beside them.
    pub log: Option<&'static str>,
    /// What follows the name of the data in the names of the files that the engine keeps beside them. They belong to the
    /// data and go with them; everything else there is the operator's.
    pub beside: &'static [&'static str],
    /// The names of the files within the data, where those are a folder, that stay for as long as the store is open.
    pub within: &'static [&'static str],
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

    /// Whether the store has a folder for itself.
    pub(crate) fn is_folder(&self) -> bool {
        self.is_folder
    }

    /// The path of the data.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        if self.is_folder { self.store.join(self.files.data) } else { self.store.clone() }
    }

    /// The log of the data, where the engine keeps one beside them.
    #[must_use]
    pub fn log(&self) -> Option<PathBuf> {
        self.files.log.map(|suffix| beside(&self.data(), suffix))
    }

    /// Whether there is a log with anything in it; nothing where the engine keeps none.
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

    /// Whether what is at `path` is in this store, or would be taken for a part of it.
    #[must_use]
    pub fn holds(&self, path: &Path) -> bool {
        let (path, store) = (resolved(path), resolved(&self.store));
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // What begins with the name of a store's file may be its log, its lock or its workshop.
        let is_beside = !self.is_folder && path.parent() == store.parent() && name(&path).starts_with(&name(&store));
        is_beside || path.starts_with(&store)
    }

    /// Makes the folder where it is missing, for its user only, and locks the store.
    ///
    /// # Errors
    /// `InUse` where the store is open already; `Unsupported` where the folder holds the data of another engine, half a
    /// migration, or no store but a database under another name, so that nobody takes a new, empty store for the one that
    /// they have; `Inaccessible`, `Full` or `Busy` where the folder or the lock file cannot be made or read.
    pub fn lock(&self) -> Result<StoreLock> {
        self.make_folder()?;
        self.has_files_written_in_place();
        let lock = self.acquire()?;
        self.expect_own_data()?;
        self.expect_no_other_database()?;
        Ok(lock)
    }

    /// Refuses half a migration.
    pub(crate) fn expect_no_half_migration(&self) -> Result<()> {
        if !self.is_half_migrated() {
            return Ok(());
        }
        let (store, workshop) = (self.store.display(), self.workshop(Work::Migrating));
        Err(StoreError::Unsupported(format!(
            "{store}: a migration into it was interrupted; start `slipstream store migrate` again, or remove {}",
            workshop.display()
        )))
    }

    /// Refuses half a migration, and the data of another engine.
    fn expect_own_data(&self) -> Result<()> {
        self.expect_no_half_migration()?;
        if let Some(other) = self.other_engine()? {
            let (store, expected) = (self.store.display(), self.files.data);
            return Err(StoreError::Unsupported(format!(
                "{store}: expected `{expected}`, got `{other}`, the data of another engine: name that engine \
                 (SLIPSTREAM_STORE), or another folder"
            )));
        }
        Ok(())
    }

    /// Refuses a folder that has no store, but a database under another name.
    fn expect_no_other_database(&self) -> Result<()> {
        if !self.is_folder || self.has_store() {
            return Ok(());
        }
        let looked = foreign::database_in(&self.store);
        let found = looked.map_err(|error| system::fault("reading the folder", &self.store, &error))?;
        let Some((path, engine)) = found else { return Ok(()) };
        Err(StoreError::Unsupported(format!(
            "{}: expected `{}` or an empty folder, got {}, data of {engine} under another name: put it in its place with \
             `slipstream store restore`, name its own path as the store's, or move it to another folder",
            self.store.display(),
            self.files.data,
            path.display()
        )))
    }

    /// Locks what is here, where it ever was locked: nothing is made.
    ///
    /// # Errors
    /// `InUse` where a process has it open; where the lock file cannot be opened.
    pub fn lock_if_there(&self) -> Result<Option<StoreLock>> {
        if self.lock_path().exists() { self.acquire().map(Some) } else { Ok(None) }
    }

    /// Has the files of a store that is going to be made here written in place.
    pub(crate) fn has_files_written_in_place(&self) {
        if self.is_folder && !self.has_store() {
            write_in_place(&self.store);
        }
    }

    /// Locks what is here, whatever it is.
    pub(crate) fn acquire(&self) -> Result<StoreLock> {
        let data = self.data();
        let named = |names: &'static [&'static str]| names.iter().copied();
        let beside = named(self.files.beside).map(|suffix| beside(&data, suffix));
        let files = beside.chain(named(self.files.within).map(|name| data.join(name)));
        Ok(StoreLock::acquire(&self.lock_path(), &self.store)?.of(files.chain([data.clone()])))
    }

    /// What in the store's folder belongs to another engine.
    ///
    /// # Errors
    /// `Busy` where the folder cannot be read.
    pub fn other_engine(&self) -> Result<Option<String>> {
        if !self.is_folder {
            return Ok(None);
        }
        self.other_data().map_err(|error| system::fault("reading the folder", &self.store, &error))
    }

    fn other_data(&self) -> io::Result<Option<String>> {
        let names = fs::read_dir(&self.store)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let mut names = names.collect::<io::Result<Vec<_>>>()?;
        names.retain(|name| name.starts_with(PREFIX) && name != LOCK && !name.starts_with(self.files.data));
        // The data's own name comes before those beside it, which begin with it.
        Ok(names.into_iter().min())
    }

    /// Makes the names of the files durable, and that of the folder.
    ///
    /// # Errors
    /// `Busy` where a folder cannot be synced.
    pub fn sync(&self) -> Result<()> {
        let folder = self.parent_of_data();
        let above = self.is_folder.then(|| parent(folder));
        for folder in [Some(folder), above].into_iter().flatten() {
            let synced = File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(|error| system::fault("syncing the folder", folder, &error))?;
        }
        Ok(())
    }

    /// Makes the folder durably where it is missing, and those above it.
    pub(crate) fn make_folder(&self) -> Result<()> {
        make_folders(self.parent_of_data())
    }

    fn parent_of_data(&self) -> &Path {
        if self.is_folder { &self.store } else { parent(&self.store) }
    }
}

/// The path without symbolic links and `..`, as far as something is there. It names one place in one way.
#[must_use]
pub fn resolved(path: &Path) -> PathBuf {
    let mut resolved = PathBuf::new();
    for component in std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).components() {
        if component == Component::ParentDir {
            resolved.pop();
        } else {
            resolved.push(component);
            resolved = resolved.canonicalize().unwrap_or(resolved);
        }
    }
    resolved
}

/// Makes a folder durably where it is missing, and those above it.
pub(crate) fn make_folders(folder: &Path) -> Result<()> {
    let missing: Vec<_> = folder.ancestors().take_while(|folder| !is_there(folder)).collect();
    missing.into_iter().rev().try_for_each(|missing| {
        let made = make_one(missing).and_then(|()| File::open(parent(missing))?.sync_all());
        made.map_err(|error| system::fault("making the folder", missing, &error))
    })
}

/// Has the files that are going to be made in a folder written in place, as `chattr +C` does, where the filesystem
/// copies what is written otherwise (btrfs): there even writing over what is there wants room, and a file that is mapped
/// into memory cannot say that there is none.
fn write_in_place(folder: &Path) {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
        let set = File::open(folder).and_then(|folder| {
            let flags = ioctl_getflags(&folder)?;
            Ok(ioctl_setflags(&folder, flags | IFlags::NOCOW)?)
        });
        // Most filesystems never copy, and know no such flag.
        drop(set);
    }
}

/// Whether the filesystem of this folder copies what is written over: it is btrfs.
#[must_use]
pub fn copies_on_write(folder: &Path) -> bool {
    #[cfg(target_os = "linux")]
    {
        const BTRFS: u32 = 0x9123_683E;
        rustix::fs::statfs(folder).is_ok_and(|system| u32::try_from(system.f_type) == Ok(BTRFS))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = folder;
        false
    }
}

fn is_there(folder: &Path) -> bool {
    folder.as_os_str().is_empty() || folder.is_dir()
}

fn make_one(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(folder) {
        // Somebody else was faster.
        Err(_) if folder.is_dir() => Ok(()),
        made => made,
    }
}

/// The path with something after its name.
pub(crate) fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut path = OsString::from(file);
    path.push(suffix);
    PathBuf::from(path)
}

/// The folder that a path is in.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: Files = Files { data: "slipstream.x", within: &[], log: Some("-wal"), beside: &["-wal"] };
    const Y: Files = Files { data: "slipstream.y", within: &[], log: None, beside: &[] };

    #[test]
    fn a_file_has_its_lock_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/orders.db");
        let place = Place::file(&path, X);
        let lock = place.lock().unwrap();
        assert!(folder.path().join("sub/orders.db.lock").exists());
        assert!(matches!(place.lock(), Err(StoreError::InUse(named)) if named == path));
        assert_eq!(place.data(), path);
        drop(lock);
        assert!(place.lock().is_ok() && place.sync().is_ok());
    }

    #[test]
    fn a_store_is_locked_once_whether_its_folder_or_its_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let lock = Place::folder(folder.path(), X).lock().unwrap();
        let file = Place::file(&folder.path().join("slipstream.x"), X);
        assert!(matches!(file.lock(), Err(StoreError::InUse(_))));
        drop(lock);
        assert!(file.lock().is_ok());
    }

    #[test]
    fn a_folder_of_another_engine_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("slipstream.x-wal"), "").unwrap();
        assert!(Place::folder(folder.path(), X).lock().is_ok());
        let refused = Place::folder(folder.path(), Y).lock().unwrap_err();
        assert!(matches!(&refused, StoreError::Unsupported(text) if text.contains("slipstream.x-wal")), "{refused:?}");
        assert!(Place::folder(folder.path(), X).lock().is_ok(), "the lock is free again");
    }

    #[test]
    fn a_database_under_another_name_is_no_empty_folder() {
        let redb = b"redb\x1A\x0A\xA9\x0D\x0A rows";
        let mut sqlite = b"SQLite format 3\0".to_vec();
        sqlite.resize(68, 0);
        sqlite.extend(b"SLIP");
        for (name, content) in [("2026-11-25.db", &sqlite[..]), ("2026/slipstream.redb", redb), ("old", redb)] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            let place = Place::folder(folder.path(), X);
            let refused = place.lock().unwrap_err();
            assert!(matches!(&refused, StoreError::Unsupported(text) if text.contains(name)), "{refused:?}");
            fs::write(place.data(), "a store").unwrap();
            assert!(place.lock().is_ok(), "beside a store it is the operator's");
        }
        let folder = tempfile::tempdir().unwrap();
        sqlite.truncate(68);
        for (name, content) in [("cookies.db", &sqlite[..]), ("note", b"redb"), ("empty", b"")] {
            fs::write(folder.path().join(name), content).unwrap();
        }
        assert!(Place::folder(folder.path(), X).lock().is_ok(), "other files are no stores");
    }

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
}
