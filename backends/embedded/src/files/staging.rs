//! Writing aside: what is made here gets its name in one step, once it is whole and synced, so that a crash leaves
//! the old one or the new one.
//!
//! All that gets its place by a rename goes through here: a store that is made, compacted, migrated or restored, a
//! backup, and the small files of an engine. Each syncs what was made, renames it, and syncs the folder, in this order.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use slipstream_store::{Result, StoreError};

use crate::files::names::{beside, parent};
use crate::files::system::fault;

/// Who makes a store in a staging folder.
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
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Compacting => "compacting",
            Self::Migrating => "migrating",
            Self::Restoring => "restoring",
        }
    }
}

/// A path at which something is made before it gets its name. It is on the filesystem of what it is made for, and no
/// program takes what is there for a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staging(PathBuf);

impl Staging {
    /// Staging at this path.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Staging beside `target`, under its name and `suffix`.
    #[must_use]
    pub fn beside(target: &Path, suffix: &str) -> Self {
        Self(beside(target, suffix))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes an empty folder durably, without what an interrupted work left in it. Whoever calls it has the lock of the
    /// place that it is for.
    ///
    /// # Errors
    /// `Busy` or `Full` if it cannot be made.
    pub fn make_folder(&self) -> Result<PathBuf> {
        self.remove()?;
        let made = fs::create_dir(&self.0).and_then(|()| sync(parent(&self.0)));
        made.map(|()| self.0.clone()).map_err(|error| fault("making", &self.0, &error))
    }

    /// Removes what is here, durably. Whoever calls it has the lock of the place that it is for.
    ///
    /// # Errors
    /// `Busy` if it cannot be removed.
    pub fn remove(&self) -> Result<()> {
        match remove(&self.0).and_then(|()| sync(parent(&self.0))) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(fault("removing", &self.0, &error)),
            _ => Ok(()),
        }
    }

    /// Has `make` make a file or a folder here, without what an interrupted one left, and gives it the name `target`; a file
    /// that is there is replaced. If that fails, nothing is left here.
    ///
    /// # Errors
    /// What `make` returns; `Busy` or `Full` as the system says.
    pub fn make(&self, target: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        self.remove()?;
        let made = make(&self.0).and_then(|()| {
            sync_whole(&self.0)?;
            rename(&self.0, target)?;
            sync_folder_of(target)
        });
        // What cannot be removed is in nobody's way, and the next one removes it.
        made.inspect_err(|_| drop(remove(&self.0)))
    }

    /// Gives `made`, which is in the folder here, the name `target`, at which nothing is. If that fails, nothing is there.
    pub(crate) fn publish(&self, made: &Path, target: &Path) -> Result<()> {
        sync_whole(made)?;
        rename(made, target)?;
        sync_folder_of(target).inspect_err(|_| drop(fs::rename(target, made)))
    }

    /// Gives `made`, which is in the folder here, the name `target`, in the place of the file or the folder that may be
    /// there. Of two folders, the old one is then at `made`.
    ///
    /// # Errors
    /// `Unsupported` if the filesystem cannot exchange two folders in one step. Nothing at `target` has changed, unless it
    /// is the last sync that failed.
    pub(crate) fn replace(&self, made: &Path, target: &Path) -> Result<()> {
        sync_whole(made)?;
        if target.is_dir() {
            exchange(made, target)?
        } else {
            rename(made, target)?
        }
        sync_folder_of(target)
    }
}

/// Syncs a file, or a folder with all that is in it, and its name.
fn sync_whole(made: &Path) -> Result<()> {
    let synced = each_file(made, &mut sync).and_then(|()| sync(parent(made)));
    synced.map_err(|error| fault("syncing", made, &error))
}

fn sync_folder_of(target: &Path) -> Result<()> {
    sync(parent(target)).map_err(|error| fault("syncing", parent(target), &error))
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|error| fault("naming", to, &error))
}

fn exchange(from: &Path, to: &Path) -> Result<()> {
    renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE).map_err(|error| {
        if matches!(error, rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) {
            let to = to.display();
            StoreError::Unsupported(format!("{to}: its filesystem cannot exchange two folders in one step"))
        } else {
            fault("replacing", to, &error.into())
        }
    })
}

/// Removes a file, or a folder with all that is in it.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    if path.symlink_metadata()?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Visits a file, or a folder after all that is in it.
pub(crate) fn each_file(path: &Path, visit: &mut dyn FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
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

    #[test]
    fn what_is_made_takes_the_place_of_what_was_there_or_leaves_it() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("seal");
        let staging = Staging::beside(&target, ".new");
        for text in ["the first", "the second"] {
            fs::write(staging.path(), "half of one that was interrupted").unwrap();
            let make = |aside: &Path| {
                assert!(!aside.exists(), "what was left is gone");
                fs::write(aside, text).map_err(|error| fault("writing", aside, &error))
            };
            assert_eq!(staging.make(&target, make), Ok(()));
            assert_eq!(fs::read_to_string(&target).unwrap(), text);
        }
        let failed = staging.make(&target, |aside| {
            fs::write(aside, "half").unwrap();
            Err(StoreError::Full("no room".to_owned()))
        });
        assert!(failed.is_err() && !staging.path().exists());
        assert_eq!(fs::read_to_string(&target).unwrap(), "the second");
    }
}
