//! The file under redb, which holds its writes back until the store is known to be whole and something is committed.
//!
//! redb writes when it opens: it marks the file as in use, and repairs it after a crash. A store that is refused has to
//! stay as it was, so what redb writes while the store is opened stays in memory, where redb reads it back. The first
//! commit lets it through, in order and with every sync, so that a crash in between is to redb a crash of its own.

use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use redb::StorageBackend;
use redb::backends::FileBackend;

use crate::fault;

/// Most bytes that are held back. Opening writes a few pages, closing about 64 KiB for each GiB.
const HELD: usize = 64 << 20;

/// How many bytes a file takes on the disk. redb lets it grow ahead of its pages, without blocks behind them.
pub(crate) fn on_disk(file: &Path) -> slipstream_store::Result<u64> {
    let metadata = std::fs::metadata(file).map_err(|error| fault::reading(error.into()))?;
    Ok(metadata.blocks() * 512)
}

/// How many bytes the file system of a file has left; as many as can be if it does not say.
pub(crate) fn free(file: &Path) -> u64 {
    match rustix::fs::statvfs(file) {
        Ok(system) if system.f_blocks > 0 => system.f_bavail.saturating_mul(system.f_frsize),
        _ => u64::MAX,
    }
}

/// A file that redb keeps its pages in. Clones are the same file.
#[derive(Debug, Clone)]
pub(crate) struct Medium(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: FileBackend,
    /// What is held back; nothing once it was let through.
    held: RwLock<Option<Held>>,
}

/// What was done to a file, on top of what it has.
#[derive(Debug, Clone, Default)]
struct Held {
    length: u64,
    bytes: usize,
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
enum Step {
    Write(u64, Vec<u8>),
    Resize(u64),
    Sync,
}

impl Medium {
    /// A file that is there, locked against other programs that use redb. Nothing is written to it before
    /// [`let_through`](Self::let_through).
    pub(crate) fn held_back(path: &Path) -> Result<Self> {
        let file = File::options().read(true).write(true).open(path)?;
        file.try_lock()?;
        let length = file.metadata()?.len();
        Self::new(file, Held { length, ..Held::default() })
    }

    fn new(file: File, held: Held) -> Result<Self> {
        let file = FileBackend::new(file).map_err(Error::other)?;
        Ok(Self(Arc::new(Inner { file, held: RwLock::new(Some(held)) })))
    }

    /// Writes what was held back, and holds nothing back from now on. If it fails all is held back as before, so that
    /// nothing more is written behind what is there in part, which is to redb what a crash leaves.
    pub(crate) fn let_through(&self) -> Result<()> {
        if !self.is_held_back() {
            return Ok(());
        }
        // Whoever reads meanwhile waits.
        let mut held = self.0.held.write().unwrap_or_else(PoisonError::into_inner);
        for step in held.iter().flat_map(|held| &held.steps) {
            match step {
                Step::Write(offset, bytes) => self.0.file.write(*offset, bytes)?,
                Step::Resize(length) => self.0.file.set_len(*length)?,
                Step::Sync => self.0.file.sync_data()?,
            }
        }
        *held = None;
        Ok(())
    }

    /// Whether nothing was written to the file since it was opened.
    pub(crate) fn is_held_back(&self) -> bool {
        self.held().is_some()
    }

    /// A copy of this file, which is at `path`, while it is held back; what is written to the copy goes nowhere. It
    /// holds true for as long as this one is held back.
    pub(crate) fn copy(&self, path: &Path) -> Result<Option<Self>> {
        let held = self.held().clone();
        held.map(|held| Self::new(File::open(path)?, held)).transpose()
    }

    fn held(&self) -> RwLockReadGuard<'_, Option<Held>> {
        self.0.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does a step, or keeps it.
    fn step(&self, step: impl FnOnce() -> Step, pass: impl FnOnce(&FileBackend) -> Result<()>) -> Result<()> {
        if !self.is_held_back() {
            return pass(&self.0.file);
        }
        match &mut *self.0.held.write().unwrap_or_else(PoisonError::into_inner) {
            None => pass(&self.0.file),
            Some(held) => held.keep(step()),
        }
    }
}

impl Held {
    fn keep(&mut self, step: Step) -> Result<()> {
        match &step {
            Step::Write(_, bytes) => self.bytes += bytes.len(),
            Step::Resize(length) => self.length = *length,
            Step::Sync => {}
        }
        if self.bytes > HELD {
            return Err(Error::other(format!("redb writes more than {HELD} bytes before anything is committed")));
        }
        self.steps.push(step);
        Ok(())
    }

    /// Reads what the file would have.
    fn read(&self, file: &FileBackend, offset: u64, out: &mut [u8]) -> Result<()> {
        let size = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        if offset.checked_add(size(out.len())).is_none_or(|end| end > self.length) {
            return Err(Error::from(ErrorKind::UnexpectedEof));
        }
        // Where in `out` the byte at this place of the file is, or would be if it reached so far.
        let index =
            |at: u64, length: usize| usize::try_from(at.saturating_sub(offset)).map_or(length, |at| at.min(length));
        let there = index(file.len()?, out.len());
        file.read(offset, &mut out[..there])?;
        out[there..].fill(0);
        for step in &self.steps {
            match step {
                Step::Write(at, bytes) => {
                    let (first, last) = (index(*at, out.len()), index(at + size(bytes.len()), out.len()));
                    let skipped = usize::try_from(offset.saturating_sub(*at)).unwrap_or(usize::MAX);
                    if first < last {
                        out[first..last].copy_from_slice(&bytes[skipped..skipped + (last - first)]);
                    }
                }
                Step::Resize(length) => {
                    let end = index(*length, out.len());
                    out[end..].fill(0);
                }
                Step::Sync => {}
            }
        }
        Ok(())
    }
}

impl StorageBackend for Medium {
    fn len(&self) -> Result<u64> {
        self.held().as_ref().map_or_else(|| self.0.file.len(), |held| Ok(held.length))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        match &*self.held() {
            None => self.0.file.read(offset, out),
            Some(held) => held.read(&self.0.file, offset, out),
        }
    }

    fn set_len(&self, length: u64) -> Result<()> {
        self.step(|| Step::Resize(length), |file| file.set_len(length))
    }

    fn sync_data(&self) -> Result<()> {
        self.step(|| Step::Sync, FileBackend::sync_data)
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        self.step(|| Step::Write(offset, data.to_vec()), |file| file.write(offset, data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every read of up to 7 bytes is what `expected` has, and none goes behind its end.
    fn agrees(medium: &Medium, expected: &[u8]) {
        assert_eq!(medium.len().unwrap(), expected.len() as u64);
        for first in 0..=expected.len() {
            for length in 0..7 {
                let mut out = vec![9; length];
                let read = medium.read(first as u64, &mut out);
                match expected.get(first..first + length) {
                    Some(bytes) => {
                        assert!(read.is_ok() && out == bytes, "{length} from {first}: {out:?}, not {bytes:?}")
                    }
                    None => assert_eq!(read.unwrap_err().kind(), ErrorKind::UnexpectedEof, "{length} from {first}"),
                }
            }
        }
    }

    #[test]
    fn what_is_held_back_is_read_back_and_reaches_the_file_when_it_may() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut expected: Vec<u8> = (1..=20).collect();
        std::fs::write(file.path(), &expected).unwrap();
        let before = expected.clone();
        let medium = Medium::held_back(file.path()).unwrap();
        agrees(&medium, &expected);
        for (resize, at, bytes) in
            [(20, 3, "abc"), (30, 25, "de"), (10, 8, "fg"), (16, 9, "hijk"), (12, 0, "l"), (24, 11, "mno")]
        {
            medium.set_len(resize).unwrap();
            medium.write(at, bytes.as_bytes()).unwrap();
            medium.sync_data().unwrap();
            expected.resize(usize::try_from(resize).unwrap(), 0);
            let at = usize::try_from(at).unwrap();
            expected[at..at + bytes.len()].copy_from_slice(bytes.as_bytes());
            agrees(&medium, &expected);
        }
        assert_eq!(std::fs::read(file.path()).unwrap(), before, "nothing is written yet");
        let copy = medium.copy(file.path()).unwrap().unwrap();
        copy.write(0, b"zz").unwrap();
        agrees(&medium, &expected);

        medium.let_through().unwrap();
        assert_eq!(std::fs::read(file.path()).unwrap(), expected);
        assert!(!medium.is_held_back() && medium.copy(file.path()).unwrap().is_none());
        medium.write(1, b"pq").unwrap();
        expected[1..3].copy_from_slice(b"pq");
        assert_eq!(std::fs::read(file.path()).unwrap(), expected);
        agrees(&medium, &expected);
    }

    #[test]
    fn a_file_system_that_does_not_say_has_room() {
        assert_eq!((free(Path::new("/proc")), free(Path::new("/nowhere"))), (u64::MAX, u64::MAX));
    }

    #[test]
    fn what_is_held_back_is_bounded() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let medium = Medium::held_back(file.path()).unwrap();
        let piece = vec![0; 1 << 20];
        let kept = (0..100).take_while(|_| medium.write(0, &piece).is_ok()).count();
        assert_eq!(kept << 20, HELD);
    }

    #[test]
    fn what_cannot_be_let_through_stays_held_back() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        let held = Held { length: 3, ..Held::default() };
        let medium = Medium::new(File::open(file.path()).unwrap(), held).unwrap();
        medium.write(1, b"x").unwrap();
        assert!(medium.let_through().is_err(), "the file is open for reading only");
        assert!(medium.is_held_back());
        agrees(&medium, b"axc");
    }
}
