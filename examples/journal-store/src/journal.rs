//! The journal of an open store: read once, then only appended to, until it is written anew.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use slipstream_store::{Durability, Result, StoreError};

use crate::entry::Entry;
use crate::frame::{self, Frames};
use crate::medium::Medium;
use crate::state::State;
use crate::{fault, image};

/// A journal is written anew once it has grown by this many bytes, and to twice of what it was.
const GROWTH: u64 = 1 << 20;

/// The open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
    durability: Durability,
    medium: Box<dyn Medium>,
    /// Where the last whole frame ends.
    length: u64,
    /// How much of it is surely on the medium.
    synced: u64,
    /// Where the last seal ends. What stands behind it, no later frame knows to have been synced.
    sealed: u64,
    /// The length when the journal was written anew last.
    base: u64,
    buffer: Vec<u8>,
}

impl Journal {
    /// Opens the journal in the folder, makes it where there is none, and answers the state that it tells of. One that
    /// was not closed is written anew, without its torn end. It changes nothing where it is damaged.
    pub(crate) fn open(folder: &Path, durability: Durability) -> Result<(Self, State)> {
        let path = image::journal_in(folder);
        let journal = |medium, length| Self {
            folder: folder.to_owned(),
            durability,
            medium,
            length,
            synced: length,
            sealed: length,
            base: length,
            buffer: Vec::new(),
        };
        let Some(Read { state, length, torn, sealed, base }) = read(&path)? else {
            let state = State::default();
            let (file, length) = image::install(folder, &state)?;
            return Ok((journal(Box::new(file), length), state));
        };
        if !sealed {
            // It was not closed. What can be read may be in memory only, and a sync that failed once may answer Ok now:
            // only what is written again is surely written.
            match image::install(folder, &state) {
                Ok((file, length)) => return Ok((journal(Box::new(file), length), state)),
                Err(StoreError::Full(_)) => {}
                Err(StoreError::Poisoned(text)) => return Err(StoreError::Busy(text)),
                Err(other) => return Err(other),
            }
        }
        let file = OpenOptions::new().append(true).open(&path).map_err(|error| fault("opening", &path, &error))?;
        let cut = if torn { file.set_len(length) } else { Ok(()) };
        cut.and_then(|()| file.sync_all()).map_err(|error| fault("syncing", &path, &error))?;
        Ok((Self { sealed: if sealed { length } else { 0 }, base, ..journal(Box::new(file), length) }, state))
    }

    /// Writes an entry, and returns once it is as durable as the store was opened for.
    ///
    /// `Full` means that nothing of it is left in the journal. What a failed sync has left is unknown, and a second
    /// sync may answer `Ok` although the first one's bytes are lost: `Poisoned`.
    pub(crate) fn append(&mut self, entry: &Entry) -> Result<()> {
        self.buffer.clear();
        frame::encode(entry, self.synced, &mut self.buffer)?;
        if let Err(error) = self.medium.append(&self.buffer) {
            let cut = self.medium.cut(self.length);
            return Err(match fault("writing", &self.path(), &error) {
                StoreError::Full(text) if cut.is_ok() => StoreError::Full(text),
                other => StoreError::Poisoned(other.to_string()),
            });
        }
        self.length += self.buffer.len() as u64;
        if self.durability == Durability::Full { self.sync() } else { Ok(()) }
    }

    fn sync(&mut self) -> Result<()> {
        if self.synced == self.length {
            return Ok(());
        }
        let synced = self.medium.sync();
        synced.map_err(|error| StoreError::Poisoned(format!("syncing {}: {error}", self.path().display())))?;
        self.synced = self.length;
        Ok(())
    }

    /// Ends the journal with a frame that knows all before it to be synced, so that whatever is damaged in it later is
    /// not taken for torn.
    pub(crate) fn seal(&mut self) -> Result<()> {
        if self.sealed == self.length {
            return Ok(());
        }
        self.sync()?;
        let before = self.length;
        self.append(&Entry::Seal).and_then(|()| self.sync()).inspect_err(|_| {
            // A seal that is not surely there is none.
            drop(self.medium.cut(before));
        })?;
        self.sealed = self.length;
        Ok(())
    }

    /// Writes the journal anew as nothing but the state, where that is worth it. Where there is no room for that the
    /// journal stays as it is; a later purge tries again.
    pub(crate) fn compact(&mut self, state: &State) -> Result<()> {
        if self.length - self.base < GROWTH.max(self.base) {
            return Ok(());
        }
        match image::install(&self.folder, state) {
            Ok((file, length)) => {
                self.medium = Box::new(file);
                (self.length, self.synced, self.sealed, self.base) = (length, length, length, length);
                Ok(())
            }
            Err(StoreError::Poisoned(reason)) => Err(StoreError::Poisoned(reason)),
            Err(_) => Ok(()),
        }
    }

    /// Reads the journal from the medium: the state that it tells of, or what is wrong with it.
    pub(crate) fn read_again(&self) -> Result<State> {
        match read(&self.path())? {
            Some(read) if !read.torn && read.length == self.length => Ok(read.state),
            _ => Err(StoreError::Corrupted(format!(
                "{}: expected {} bytes in whole frames",
                self.path().display(),
                self.length
            ))),
        }
    }

    /// Bytes on the medium.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    fn path(&self) -> PathBuf {
        image::journal_in(&self.folder)
    }

    /// Has another medium in the place of the file.
    #[cfg(test)]
    pub(crate) fn replace_medium(&mut self, medium: impl FnOnce(Box<dyn Medium>) -> Box<dyn Medium>) {
        let file = std::mem::replace(&mut self.medium, Box::new(crate::tests::Nothing));
        self.medium = medium(file);
    }
}

/// What a journal tells.
struct Read {
    state: State,
    /// Where the last whole frame ends.
    length: u64,
    /// Whether a torn one stands behind it.
    torn: bool,
    /// Whether it is a seal.
    sealed: bool,
    /// Where the first seal ends: up to there the journal was written anew.
    base: u64,
}

/// Replays a journal, where there is one.
fn read(path: &Path) -> Result<Option<Read>> {
    let mut frames = match Frames::open(path) {
        Ok(frames) => frames?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault("reading", path, &error)),
    };
    let (mut state, mut sealed, mut base) = (State::default(), false, None);
    while let Some(entry) = frames.next()? {
        sealed = entry == Entry::Seal;
        if sealed {
            base.get_or_insert(frames.end().0);
        }
        state.replay(entry);
    }
    let (length, torn) = frames.end();
    Ok(Some(Read { state, length, torn, sealed, base: base.unwrap_or(length) }))
}
