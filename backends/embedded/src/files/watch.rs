//! Whether the files of an open store are still those that its path names. A program goes on writing to files that were
//! removed or moved away, and whoever opens the store next would not find them.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io};

use slipstream_store::{Result, StoreError};

/// The files of an open store, as they were at their paths when it was opened.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The path of the store, for a person.
    store: PathBuf,
    /// The first one stands for the folder, with which it goes.
    files: Vec<(PathBuf, Number)>,
    /// When every file was last seen at its path.
    seen_at: Option<Instant>,
}

/// For how long a look at all files stands for the next one. To look at all of them after each of many small commits took
/// 7 % of the writer's time.
const FRESH: Duration = Duration::from_millis(10);

/// Which file it is: its device and its inode.
type Number = (u64, u64);

fn number(file: &Metadata) -> Number {
    (file.dev(), file.ino())
}

impl Watch {
    /// Watches these files of the store at `store`, those of them that are there.
    ///
    /// # Errors
    /// `Unavailable` if one cannot be looked at.
    pub(crate) fn over(store: &Path, files: impl IntoIterator<Item = PathBuf>) -> Result<Self> {
        let mut watch = Self { store: store.to_owned(), files: Vec::new(), seen_at: None };
        for file in files {
            match fs::metadata(&file) {
                Ok(found) => watch.files.push((file, number(&found))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(watch.unavailable(&file, &error.to_string())),
            }
        }
        Ok(watch)
    }

    /// Looks whether every file is still at its path, unless that was seen a moment ago.
    ///
    /// # Errors
    /// `Unavailable` if one is not.
    pub(crate) fn look_lately(&mut self) -> Result<()> {
        match self.seen_at {
            Some(seen_at) if seen_at.elapsed() < FRESH => Ok(()),
            _ => self.look(),
        }
    }

    /// Looks whether the first file is still at its path, and at the others unless that was seen a moment ago.
    ///
    /// # Errors
    /// `Unavailable` where one is not.
    pub(crate) fn look_at_first(&mut self) -> Result<()> {
        if let Err(gone) = self.look_at(self.files.iter().take(1)) {
            self.seen_at = None;
            return Err(gone);
        }
        self.look_lately()
    }

    /// Looks whether every file is still at its path. It takes some microseconds a file.
    ///
    /// # Errors
    /// `Unavailable` if one is not.
    pub(crate) fn look(&mut self) -> Result<()> {
        let looked = self.look_at(self.files.iter());
        self.seen_at = looked.is_ok().then(Instant::now);
        looked
    }

    fn look_at<'f>(&self, mut files: impl Iterator<Item = &'f (PathBuf, Number)>) -> Result<()> {
        files.try_for_each(|(file, expected)| match fs::metadata(file) {
            Ok(found) if number(&found) == *expected => Ok(()),
            Ok(_) => Err(self.unavailable(file, "another file has taken its place")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(self.unavailable(file, "it is gone")),
            Err(error) => Err(self.unavailable(file, &error.to_string())),
        })
    }

    fn unavailable(&self, file: &Path, why: &str) -> StoreError {
        let (store, file) = (self.store.display(), file.display());
        StoreError::Unavailable(format!(
            "{file}: {why}, so that what is written to the store at {store} would not be found again; put it back, or \
             start anew on what is there"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_moved_removed_or_replaced_is_told_until_it_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join("parent").join(name);
        fs::create_dir(folder.path().join("parent")).unwrap();
        fs::write(at("data"), "").unwrap();
        let mut watch = Watch::over(&at("store"), ["data", "missing"].map(at)).unwrap();
        let told = |watch: &mut Watch, part: &str| {
            let told = watch.look().unwrap_err();
            assert!(matches!(&told, StoreError::Unavailable(text) if text.contains(part)), "{told:?}");
        };
        assert_eq!(watch.look(), Ok(()));
        fs::rename(folder.path().join("parent"), folder.path().join("elsewhere")).unwrap();
        assert!(watch.look_at_first().is_err(), "the first one is looked at each time");
        told(&mut watch, "data: it is gone");
        assert!(watch.look_lately().is_err(), "what is gone is looked at each time");
        fs::create_dir(folder.path().join("parent")).unwrap();
        fs::write(at("data"), "").unwrap();
        told(&mut watch, "another file");
        fs::remove_dir_all(folder.path().join("parent")).unwrap();
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), folder.path().join("parent")).unwrap();
        assert_eq!(watch.look(), Ok(()), "by whatever way it is reached");
        fs::write(at("new"), "").unwrap();
        fs::rename(at("new"), at("data")).unwrap();
        told(&mut watch, "another file");
    }
}
