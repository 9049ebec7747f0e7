//! Copies of a store. What has the name of a copy is whole: until then it is written in a folder of its own beside.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use slipstream_store::{Result, StoreError};

use crate::files::folders::make_folders;
use crate::files::lock::StoreLock;
use crate::files::names::{LOCK, PREFIX};
use crate::files::place::Place;
use crate::files::staging::{self, Staging};
use crate::files::system::fault;

/// What follows a copy's name in that of the folder in which it is written.
const UNFINISHED: &str = ".unfinished";

impl Place {
    /// Refuses a path at which a copy of this store would be taken for something else.
    ///
    /// # Errors
    /// `Unsupported` if the path is in the store, or its name could be that of a part of this store or of another, or of
    /// a copy that is not finished.
    pub fn expect_copy_elsewhere(&self, target: &Path) -> Result<()> {
        if self.holds(target) {
            let (target, store) = (target.display(), self.store().display());
            let text = format!("{target}: expected a path that is not of the store at {store}");
            return Err(StoreError::Unsupported(text));
        }
        expect_name_of_a_copy(target)
    }

    /// Has `write` write a copy of a store at the place that it is given, and gives it its name here once it is whole and
    /// durable. What an interrupted one of the same name has left is removed.
    ///
    /// # Errors
    /// `Unsupported` if something is here, which is then left alone, or if a copy may not have this name; `Busy` if
    /// another copy of this name is being written, or if a folder cannot be made or synced; what `write` returns.
    /// Nothing is left then.
    pub fn write_new(&self, write: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        expect_name_of_a_copy(self.store())?;
        let staging = Staging::beside(self.store(), UNFINISHED);
        make_folders(staging.path())?;
        let lock = StoreLock::acquire(&staging.path().join(LOCK), self.store()).map_err(|error| match error {
            StoreError::InUse(path) => {
                StoreError::Busy(format!("{}: another copy of this name is being written", path.display()))
            }
            other => other,
        })?;
        let written = self.write_in(&staging, write);
        // What cannot be removed is in nobody's way.
        drop((fs::remove_dir_all(staging.path()), lock));
        written
    }

    fn write_in(&self, staging: &Staging, write: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        let store = self.store();
        self.expect_nothing()?;
        clear(staging.path()).map_err(|error| fault("clearing", staging.path(), &error))?;
        let made = self.at(staging.path().join(store.file_name().unwrap_or_default()));
        made.make_folder()?;
        write(&made)?;
        self.expect_nothing()?;
        staging.publish(made.store(), store)
    }

    fn expect_nothing(&self) -> Result<()> {
        match self.store().symlink_metadata() {
            Ok(_) => Err(StoreError::Unsupported(format!("{}: expected nothing there", self.store().display()))),
            Err(_) => Ok(()),
        }
    }
}

fn expect_name_of_a_copy(target: &Path) -> Result<()> {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    if name.is_empty() || name.starts_with(PREFIX) || name.ends_with(UNFINISHED) {
        let target = target.display();
        return Err(StoreError::Unsupported(format!(
            "{target}: expected a name that neither begins with `{PREFIX}`, as a store's own files do, nor ends with \
             `{UNFINISHED}`, as what is left of an interrupted copy does"
        )));
    }
    Ok(())
}

/// Removes what is there, but for the lock.
fn clear(folder: &Path) -> io::Result<()> {
    let paths: Vec<PathBuf> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    paths.iter().filter(|path| !path.ends_with(LOCK)).try_for_each(|path| staging::remove(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::names::{Files, beside};

    const X: Files = Files { data: "slipstream.x", within: &[], log: None, beside: &[] };

    fn both(folder: &Path) -> [Place; 2] {
        [Place::folder(&folder.join("copy"), X), Place::file(&folder.join("2026.x"), X)]
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn unsupported(done: &Result<()>) -> bool {
        matches!(done, Err(StoreError::Unsupported(_)))
    }

    #[test]
    fn a_copy_has_its_name_once_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        for place in both(folder.path()) {
            let write = |made: &Place| {
                assert!(!place.store().exists(), "it is not whole yet");
                fs::write(made.data(), "half").unwrap();
                fs::write(made.data(), "whole").map_err(|error| fault("writing", &made.data(), &error))
            };
            assert_eq!(place.write_new(write), Ok(()));
            assert_eq!(fs::read_to_string(place.data()).unwrap(), "whole");
            assert!(unsupported(&place.write_new(|made| fs::write(made.data(), "other").map_err(|_| unreachable!()))));
            assert_eq!(fs::read_to_string(place.data()).unwrap(), "whole", "what was there is left alone");
        }
        assert_eq!(names(folder.path()), ["2026.x", "copy"]);
    }

    #[test]
    fn a_failed_copy_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        for place in both(folder.path()) {
            let failed = place.write_new(|made| {
                fs::write(made.data(), "half").unwrap();
                Err(StoreError::Full("no room".to_owned()))
            });
            assert_eq!(failed, Err(StoreError::Full("no room".to_owned())));
        }
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn what_an_interrupted_copy_has_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        for place in both(folder.path()) {
            let staging = beside(place.store(), UNFINISHED);
            let left = staging.join(place.store().file_name().unwrap());
            fs::create_dir_all(left.join("half")).unwrap();
            fs::write(beside(&left, "-journal"), "half").unwrap();
            let write = |made: &Place| {
                assert!(!made.data().exists() && names(&staging).len() <= 2, "{:?}", names(&staging));
                fs::write(made.data(), "whole").map_err(|error| fault("writing", &made.data(), &error))
            };
            assert_eq!(place.write_new(write), Ok(()));
        }
        assert_eq!(names(folder.path()), ["2026.x", "copy"]);
    }

    #[test]
    fn two_copies_of_one_name_do_not_meet() {
        let folder = tempfile::tempdir().unwrap();
        let [place, _] = both(folder.path());
        let outer = place.write_new(|made| {
            fs::write(made.data(), "first").unwrap();
            let second = place.write_new(|_| unreachable!("the first is being written"));
            assert!(matches!(&second, Err(StoreError::Busy(text)) if text.contains("another copy")), "{second:?}");
            Ok(())
        });
        assert_eq!((outer, fs::read_to_string(place.data()).unwrap()), (Ok(()), "first".to_owned()));
    }

    #[test]
    fn a_copy_takes_no_name_of_a_store_nor_of_half_a_copy() {
        let folder = tempfile::tempdir().unwrap();
        let store = Place::file(&folder.path().join("orders.x"), X);
        for name in ["slipstream.y", "slipstream.2026", "2026.unfinished", ".."] {
            let target = folder.path().join(name);
            assert!(unsupported(&store.expect_copy_elsewhere(&target)), "{name}");
            assert!(unsupported(&Place::folder(&target, X).write_new(|_| unreachable!())), "{name}");
        }
        assert!(unsupported(&store.expect_copy_elsewhere(&folder.path().join("orders.x-wal"))));
        assert_eq!(store.expect_copy_elsewhere(&folder.path().join("2026-orders.x")), Ok(()));
        assert!(names(folder.path()).is_empty());
    }
}
