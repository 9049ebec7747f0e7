//! Putting a whole store in its place in one step, so that a crash leaves the old one or the new one.

use std::fs::{self, Metadata};
use std::io;
use std::path::Path;

use slipstream_store::Result;

use crate::files::place::Place;
use crate::files::staging::{Work, each_file};
use crate::files::system::fault;

impl Place {
    /// Moves the data of `made`, a closed store in the staging of this work, here, in the place of those that may be here;
    /// both places are locked. Before the rename nothing here has changed, after it the new store is here, and it is whole
    /// and durable either way. The old data are removed, and the new ones are given to their owner.
    ///
    /// # Errors
    /// `Unsupported` if the filesystem cannot exchange two folders in one step; `Busy` or `Full` as the system says.
    /// Nothing here has changed, unless it is the last sync that failed.
    pub fn install(&self, made: &Self, work: Work) -> Result<()> {
        let (staging, from, to) = (self.staging(work), made.data(), self.data());
        if let Ok(old) = fs::metadata(&to) {
            give(&from, &old).map_err(|error| fault("preparing", &from, &error))?;
        }
        staging.replace(&from, &to)?;
        for file in self.side_files() {
            // They belonged to the data that were here, and count no more since those were closed.
            drop(fs::remove_file(file));
        }
        staging.remove()
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::names::Files;

    const X: Files = Files { data: "slipstream.x", within: &[], log: Some("-wal"), beside: &["-wal"] };

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
            let made = Place::folder(&place.staging(Work::Compacting).make_folder().unwrap(), X);
            write(&made.data(), in_folder, "the new");
            place.install(&made, Work::Compacting).unwrap();
            assert_eq!(read(&place.data()), "the new");
            assert_eq!(place.bytes(), Ok(7), "only the store counts");
            assert!(!place.staging(Work::Compacting).path().exists());
            assert!(kept.exists(), "what only has a name like the store's is the operator's");
            if is_there {
                assert!(!folder.path().join("slipstream.x-wal").exists());
                assert_eq!(fs::metadata(place.data()).unwrap().permissions().mode() & 0o777, mode);
            }
        }
    }
}
