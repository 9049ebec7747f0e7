//! Putting a whole store in its place in one step, so that a crash leaves the old one or the new one.
//!
//! A store is made in a *workshop*, a folder of its own in the store's folder, where no other program takes it for the
//! store. When it is whole and synced it is moved into its place by one rename.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use slipstream_store::{Result, StoreError};

use crate::lock::StoreLock;
use crate::place::{Place, beside, parent};
use crate::system::fault;

/// Who makes a store in a workshop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Rewrites the store that is there. What is left of an interrupted one is in nobody's way.
    Compacting,
    /// Makes the store that is to be there. What is left of an interrupted one keeps the place from being taken for an
    /// empty store.
    Migrating,
    /// Copies a backup that is to be the store. What is left of an interrupted one is in nobody's way.
    Restoring,
}

impl Work {
    const fn name(self) -> &'static str {
        match self {
            Self::Compacting => "compacting",
            Self::Migrating => "migrating",
            Self::Restoring => "restoring",
        }
    }
}

impl Place {
    /// The folder in which such work makes a store for this place.
    #[must_use]
    pub fn workshop(&self, work: Work) -> PathBuf {
        if self.is_folder() {
            self.store().join(work.name())
        } else {
            beside(self.store(), &format!(".{}", work.name()))
        }
    }

    /// Whether the data of a store are here. An empty file is what a crash leaves of a store that was never made.
    #[must_use]
    pub fn has_store(&self) -> bool {
        fs::metadata(self.data()).is_ok_and(|data| data.is_dir() || data.len() > 0)
    }

    /// Whether a migration into this place was interrupted.
    #[must_use]
    pub fn is_half_migrated(&self) -> bool {
        !self.has_store() && self.workshop(Work::Migrating).exists()
    }

    /// How many bytes the store's files have, those included that the engine keeps beside the data while it is open.
    ///
    /// # Errors
    /// `Busy` where they cannot be read.
    pub fn bytes(&self) -> Result<u64> {
        let mut files = self.side_files();
        files.push(self.data());
        files.iter().try_fold(0, |sum, file| Ok(sum + size(file).map_err(|error| fault("reading", file, &error))?))
    }

    /// Locks a place in which no store is, for one that is going to be made in a workshop. The folder is made where it is
    /// missing.
    ///
    /// # Errors
    /// `Unsupported` where a store is there, or a part of one, of whatever engine; otherwise as [`lock`](Self::lock).
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

    /// Locks a place for a store that is going to take the place of the one that may be there. The folder is made where it is
    /// missing.
    ///
    /// # Errors
    /// `InUse` where the store is open; `Unsupported` where the data of another engine or half a migration are there.
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

    /// Makes an empty workshop durably, without what an interrupted work left in it. The place is locked.
    ///
    /// # Errors
    /// `Busy` or `Full` where it cannot be made.
    pub fn make_workshop(&self, work: Work) -> Result<PathBuf> {
        self.remove_workshop(work)?;
        let workshop = self.workshop(work);
        let made = fs::create_dir(&workshop).and_then(|()| sync(parent(&workshop)));
        made.map(|()| workshop.clone()).map_err(|error| fault("making", &workshop, &error))
    }

    /// Removes a workshop and what is in it. The place is locked.
    ///
    /// # Errors
    /// `Busy` where it cannot be removed.
    pub fn remove_workshop(&self, work: Work) -> Result<()> {
        let workshop = self.workshop(work);
        match fs::remove_dir_all(&workshop).and_then(|()| sync(parent(&workshop))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(fault("removing", &workshop, &error)),
            _ => Ok(()),
        }
    }

    /// Moves the data of `made`, a closed store in a workshop, here, in the place of those that may be here; both places
    /// are locked. Before the rename nothing here has changed, after it the new store is here, and it is whole and
    /// durable either way. The old data are removed, and the new ones are given to their owner.
    ///
    /// # Errors
    /// `Unsupported` where the filesystem cannot exchange two folders in one step; `Busy` or `Full` as the system says.
    /// Nothing here has changed, unless it is the last sync that failed.
    pub fn install(&self, made: &Self, work: Work) -> Result<()> {
        let (from, to) = (made.data(), self.data());
        let prepared = match fs::metadata(&to) {
            Ok(old) => give(&from, &old).and_then(|()| sync_all(&from)),
            Err(_) => sync_all(&from),
        };
        prepared.and_then(|()| sync(parent(&from))).map_err(|error| fault("syncing", &from, &error))?;
        rename(&from, &to)?;
        sync(parent(&to)).map_err(|error| fault("syncing", parent(&to), &error))?;
        for file in self.side_files() {
            // They belonged to the data that were here, and count no more since those were closed.
            drop(fs::remove_file(file));
        }
        self.remove_workshop(work)
    }
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    if !to.is_dir() {
        return fs::rename(from, to).map_err(|error| fault("replacing", to, &error));
    }
    renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE).map_err(|error| {
        if matches!(error, rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) {
            let to = to.display();
            StoreError::Unsupported(format!("{to}: its filesystem cannot exchange two folders in one step"))
        } else {
            fault("replacing", to, &error.into())
        }
    })
}

/// Gives files the owner and the mode of those that they replace, so that the relay's user can open them too.
fn give(path: &Path, old: &Metadata) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt as _, chown};
        let now = fs::metadata(path)?;
        if (now.uid(), now.gid()) != (old.uid(), old.gid()) {
            each_file(path, &mut |file| chown(file, Some(old.uid()), Some(old.gid())))?;
        }
    }
    fs::set_permissions(path, old.permissions())
}

fn sync_all(path: &Path) -> io::Result<()> {
    each_file(path, &mut sync)
}

pub(crate) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
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

/// Visits a file, or a folder after all that is in it.
fn each_file(path: &Path, visit: &mut dyn FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            each_file(&entry?.path(), visit)?;
        }
    }
    visit(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Files;

    const X: Files = Files { data: "slipstream.x", within: &[], log: Some("-wal"), beside: &["-wal"] };
    const Y: Files = Files { data: "slipstream.y", within: &[], log: None, beside: &[] };

    /// The data of a store: a file, or, as some engines have them, a folder.
    fn write(data: &Path, in_folder: bool, text: &str) {
        if in_folder {
            fs::create_dir_all(data).unwrap();
            fs::write(data.join("db"), text).unwrap();
        } else {
            fs::write(data, text).unwrap();
        }
    }

    fn read(data: &Path) -> String {
        fs::read_to_string(if data.is_dir() { data.join("db") } else { data.to_owned() }).unwrap()
    }

    #[test]
    fn a_store_takes_the_place_of_another_or_of_none() {
        use std::os::unix::fs::PermissionsExt as _;
        for (in_folder, is_there) in [(false, false), (false, true), (true, false), (true, true)] {
            let folder = tempfile::tempdir().unwrap();
            let place = Place::folder(folder.path(), X);
            let mode = if in_folder { 0o750 } else { 0o640 };
            let kept = folder.path().join("slipstream.x-2026-11-25");
            fs::write(&kept, "a copy").unwrap();
            if is_there {
                write(&place.data(), in_folder, "old");
                fs::set_permissions(place.data(), fs::Permissions::from_mode(mode)).unwrap();
                fs::write(folder.path().join("slipstream.x-wal"), "old").unwrap();
            }
            let made = Place::folder(&place.make_workshop(Work::Compacting).unwrap(), X);
            write(&made.data(), in_folder, "the new");
            place.install(&made, Work::Compacting).unwrap();
            assert_eq!(read(&place.data()), "the new");
            assert_eq!(place.bytes(), Ok(7), "only the store counts");
            assert!(!place.workshop(Work::Compacting).exists());
            assert!(kept.exists(), "what only has a name like the store's is the operator's");
            if is_there {
                assert!(!folder.path().join("slipstream.x-wal").exists());
                assert_eq!(fs::metadata(place.data()).unwrap().permissions().mode() & 0o777, mode);
            }
        }
    }

    #[test]
    fn the_workshop_of_a_file_is_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::file(&folder.path().join("orders.db"), X);
        assert!(!place.has_store() && !place.is_half_migrated());
        let workshop = place.make_workshop(Work::Migrating).unwrap();
        assert_eq!(workshop, folder.path().join("orders.db.migrating"));
        assert!(place.is_half_migrated());
        fs::write(workshop.join("half"), "").unwrap();
        place.make_workshop(Work::Migrating).unwrap();
        assert_eq!(fs::read_dir(&workshop).unwrap().count(), 0, "it begins anew");
        place.remove_workshop(Work::Migrating).unwrap();
        place.remove_workshop(Work::Migrating).unwrap();
        assert!(!place.is_half_migrated());
    }

    #[test]
    fn half_a_migration_is_refused_by_every_engine_until_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::folder(folder.path(), X);
        place.make_workshop(Work::Migrating).unwrap();
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
