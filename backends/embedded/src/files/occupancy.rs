//! What is at a place already, and whether a store may be opened or made there. Whoever may has the lock.

use std::fs;
use std::io;

use slipstream_store::{Result, StoreError};

use crate::files::folders::write_in_place;
use crate::files::lock::StoreLock;
use crate::files::names::{LOCK, PREFIX, beside};
use crate::files::place::Place;
use crate::files::staging::Work;
use crate::files::{foreign, system};

impl Place {
    /// Makes the folder if it is missing, for its user only, and locks the store.
    ///
    /// # Errors
    /// `InUse` if the store is open already; `Unsupported` if the folder holds the data of another engine, half a
    /// migration, or no store but a database under another name, so that nobody takes a new, empty store for the one that
    /// they have; `Inaccessible`, `Full` or `Busy` if the folder or the lock file cannot be made or read.
    pub fn lock(&self) -> Result<StoreLock> {
        self.make_folder()?;
        self.has_files_written_in_place();
        let lock = self.acquire()?;
        self.expect_own_data()?;
        self.expect_no_other_database()?;
        Ok(lock)
    }

    /// Locks a place in which no store is, for one that is going to be made in its staging folder. The folder is made if it is
    /// missing.
    ///
    /// # Errors
    /// `Unsupported` if a store is there, or a part of one, of whatever engine; otherwise as [`lock`](Self::lock).
    pub fn lock_empty(&self) -> Result<StoreLock> {
        self.make_folder()?;
        self.has_files_written_in_place();
        let lock = self.acquire()?;
        let occupied = |found: &dyn std::fmt::Display| {
            Err(StoreError::Unsupported(format!("{}: expected no store there, got `{found}`", self.store().display())))
        };
        let data = self.data();
        match (self.has_store(), self.side_files().first(), self.other_engine()?) {
            (true, ..) => occupied(&data.display()),
            (false, Some(file), _) => occupied(&file.display()),
            (false, None, Some(other)) => occupied(&other),
            (false, None, None) => Ok(lock),
        }
    }

    /// Locks a place for a store that is going to take the place of the one that may be there. The folder is made if it is
    /// missing.
    ///
    /// # Errors
    /// `InUse` if the store is open; `Unsupported` if the data of another engine or half a migration are there.
    pub fn lock_to_replace(&self) -> Result<StoreLock> {
        self.make_folder()?;
        let lock = self.acquire()?;
        self.expect_no_half_migration()?;
        if let Some(other) = self.other_engine()? {
            let (store, data) = (self.store().display(), self.data());
            let expected = data.file_name().unwrap_or_default().display();
            return Err(StoreError::Unsupported(format!(
                "{store}: expected `{expected}` or no store, got `{other}`, the data of another engine, which are not \
                 replaced: move them away first"
            )));
        }
        Ok(lock)
    }

    /// Refuses half a migration.
    pub(crate) fn expect_no_half_migration(&self) -> Result<()> {
        if !self.is_half_migrated() {
            return Ok(());
        }
        let (store, staging) = (self.store().display(), self.staging(Work::Migrating));
        Err(StoreError::Unsupported(format!(
            "{store}: a migration into it was interrupted; start `slipstream store migrate` again, or remove {}",
            staging.path().display()
        )))
    }

    /// Refuses half a migration, and the data of another engine.
    fn expect_own_data(&self) -> Result<()> {
        self.expect_no_half_migration()?;
        if let Some(other) = self.other_engine()? {
            let (store, expected) = (self.store().display(), self.files().data);
            return Err(StoreError::Unsupported(format!(
                "{store}: expected `{expected}`, got `{other}`, the data of another engine: name that engine \
                 (SLIPSTREAM_STORE), or another folder"
            )));
        }
        Ok(())
    }

    /// Refuses a folder that has no store, but a database under another name.
    fn expect_no_other_database(&self) -> Result<()> {
        if !self.is_folder() || self.has_store() {
            return Ok(());
        }
        let looked = foreign::database_in(self.store());
        let found = looked.map_err(|error| system::fault("reading the folder", self.store(), &error))?;
        let Some((path, engine)) = found else { return Ok(()) };
        Err(StoreError::Unsupported(format!(
            "{}: expected `{}` or an empty folder, got {}, data of {engine} under another name: put it in its place with \
             `slipstream store restore`, name its own path as the store's, or move it to another folder",
            self.store().display(),
            self.files().data,
            path.display()
        )))
    }

    /// Locks what is here, if it ever was locked: nothing is made.
    ///
    /// # Errors
    /// `InUse` if a process has it open; if the lock file cannot be opened.
    pub fn lock_if_there(&self) -> Result<Option<StoreLock>> {
        if self.lock_path().exists() { self.acquire().map(Some) } else { Ok(None) }
    }

    /// Locks what is here, whatever it is.
    pub(crate) fn acquire(&self) -> Result<StoreLock> {
        let data = self.data();
        let named = |names: &'static [&'static str]| names.iter().copied();
        let beside = named(self.files().beside).map(|suffix| beside(&data, suffix));
        let files = beside.chain(named(self.files().within).map(|name| data.join(name)));
        Ok(StoreLock::acquire(&self.lock_path(), self.store())?.of(files.chain([data.clone()])))
    }

    /// Has the files of a store that is going to be made here written in place.
    pub(crate) fn has_files_written_in_place(&self) {
        if self.is_folder() && !self.has_store() {
            write_in_place(self.store());
        }
    }

    /// What in the store's folder belongs to another engine.
    ///
    /// # Errors
    /// `Busy` if the folder cannot be read.
    pub fn other_engine(&self) -> Result<Option<String>> {
        if !self.is_folder() {
            return Ok(None);
        }
        self.other_data().map_err(|error| system::fault("reading the folder", self.store(), &error))
    }

    fn other_data(&self) -> io::Result<Option<String>> {
        let names = fs::read_dir(self.store())?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let mut names = names.collect::<io::Result<Vec<_>>>()?;
        names.retain(|name| name.starts_with(PREFIX) && name != LOCK && !name.starts_with(self.files().data));
        // The data's own name comes before those beside it, which begin with it.
        Ok(names.into_iter().min())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::names::Files;

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
    fn half_a_migration_is_refused_by_every_engine_until_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::folder(folder.path(), X);
        place.staging(Work::Migrating).make_folder().unwrap();
        for place in [&place, &Place::folder(folder.path(), Y)] {
            let refused = place.lock().unwrap_err();
            assert!(matches!(&refused, StoreError::Unsupported(text) if text.contains("store migrate")), "{refused:?}");
        }
        assert!(place.lock_empty().is_ok(), "another migration may begin");
        // What is left once the store is in its place is in nobody's way.
        fs::write(place.data(), "new").unwrap();
        assert!(place.lock().is_ok());
    }

    #[test]
    fn a_place_with_any_part_of_a_store_is_not_empty() {
        for found in ["slipstream.x", "slipstream.x-wal", "slipstream.y"] {
            let folder = tempfile::tempdir().unwrap();
            let place = Place::folder(folder.path(), X);
            fs::create_dir(folder.path().join("lost+found")).unwrap();
            drop(place.lock_empty().unwrap());
            fs::write(folder.path().join(found), "rows").unwrap();
            let refused = place.lock_empty().unwrap_err();
            assert!(matches!(&refused, StoreError::Unsupported(text) if text.contains(found)), "{refused:?}");
        }
    }
}
