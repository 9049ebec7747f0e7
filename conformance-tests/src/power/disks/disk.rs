//! A disk in use: what the program sees, the log of what it did, and the faults that it is to meet.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use bincode::{Decode, Encode};
use fuser::Errno;
use parking_lot::Mutex;

use super::image::{Change, Image, Kind, Node, Number, ROOT};
use super::log::{Log, Unsynced};

/// Largest file, in bytes. A program that asks for more is told so.
const LARGEST_FILE: u64 = 1 << 30;

/// A disk in memory. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    seen: Image,
    log: Log,
    last: Number,
    /// What a sync would make durable.
    unsynced: BTreeSet<Number>,
    open: BTreeMap<Handle, Open>,
    last_handle: Handle,
    faults: Faults,
}

/// What a program has open; every opening has a handle of its own, which is never given twice.
pub(super) type Handle = u64;

#[derive(Debug)]
struct Open {
    number: Number,
    /// Whether a sync of it failed that was asked for through another handle. As on Linux each handle is told once.
    failed_elsewhere: bool,
}

/// How a disk can be full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Full {
    /// There is no room for anything, as on a disk that copies what is written over.
    Everything,
    /// Writing over what is there still works.
    Growth,
    /// The same, and it is the user who may have no more.
    Quota,
}

/// What is to go wrong, and how often it did.
#[derive(Debug, Default)]
struct Faults {
    /// Syncs until one fails, and whether what it should have synced is then lost for good.
    sync: Option<(u64, bool)>,
    /// Writes until there is no room, and for what there is none.
    full: Option<(u64, Full)>,
    met: usize,
}

impl Faults {
    fn sync(&mut self) -> Option<bool> {
        let (left, loses) = self.sync.as_mut()?;
        *left -= 1;
        if *left > 0 {
            return None;
        }
        let loses = *loses;
        self.sync = None;
        self.met += 1;
        Some(loses)
    }

    fn room(&mut self, grows: bool) -> Result<(), Errno> {
        match &mut self.full {
            Some((0, full)) if grows || *full == Full::Everything => {
                self.met += 1;
                Err(if *full == Full::Quota { Errno::EDQUOT } else { Errno::ENOSPC })
            }
            Some((left, _)) => {
                *left = left.saturating_sub(1);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// What there is to know of a folder or a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    pub(super) number: Number,
    pub(super) kind: Kind,
    pub(super) length: usize,
}

/// Where a name is: its folder, and the name there.
pub(super) type Name<'a> = (Number, &'a OsStr);

impl Disk {
    /// A disk with this on it, all of it durable.
    pub(super) fn new(image: Image) -> Self {
        let last = image.nodes.keys().last().copied().unwrap_or(ROOT);
        let (seen, log) = (image.clone(), Log::new(image));
        Self(Arc::new(Mutex::new(State { seen, log, last, ..State::default() })))
    }

    /// How many changes there have been.
    pub(super) fn now(&self) -> usize {
        self.0.lock().log.len()
    }

    /// What is on it if the power is cut after so many changes.
    pub(super) fn cut(&self, after: usize, unsynced: Unsynced) -> Image {
        self.0.lock().log.cut(after, unsynced)
    }

    /// How many of the changes since then were syncs, and how many were others.
    pub(super) fn counts(&self, since: usize) -> (u64, u64) {
        let state = self.0.lock();
        let changes = &state.log.changes()[since..];
        let syncs = changes.iter().filter(|change| matches!(change, Change::Sync(_))).count() as u64;
        (syncs, changes.len() as u64 - syncs)
    }

    /// Has the sync of this number fail, counted from 1, of those that have something to make durable. If it `loses`, what it should have made durable
    /// counts as written and never will be, as on Linux.
    pub(super) fn fail_sync(&self, number: u64, loses: bool) {
        self.0.lock().faults.sync = Some((number, loses));
    }

    /// Has the disk be full after so many writes.
    pub(super) fn fill_up(&self, after: u64, full: Full) {
        self.0.lock().faults.full = Some((after, full));
    }

    /// Whether a file could become longer now.
    pub(super) fn has_room(&self) -> Result<(), Errno> {
        match &self.0.lock().faults.full {
            Some((0, Full::Quota)) => Err(Errno::EDQUOT),
            Some((0, _)) => Err(Errno::ENOSPC),
            _ => Ok(()),
        }
    }

    /// Ends [`fill_up`](Self::fill_up).
    pub(super) fn make_room(&self) {
        self.0.lock().faults.full = None;
    }

    /// How many calls failed because they were meant to, or said that there is no room.
    pub(super) fn faults_met(&self) -> usize {
        self.0.lock().faults.met
    }

    /// Whether there is no room, for one who asks before it writes; who is told so has met the fault.
    pub(super) fn says_full(&self) -> bool {
        let faults = &mut self.0.lock().faults;
        let is_full = matches!(faults.full, Some((0, _)));
        faults.met += usize::from(is_full);
        is_full
    }

    pub(super) fn facts(&self, number: Number) -> Result<Facts, Errno> {
        self.0.lock().facts(number)
    }

    pub(super) fn lookup(&self, (parent, name): Name<'_>) -> Result<Facts, Errno> {
        let state = self.0.lock();
        let number = *state.names(parent)?.get(name).ok_or(Errno::ENOENT)?;
        state.facts(number)
    }

    pub(super) fn list(&self, folder: Number) -> Result<Vec<(Facts, OsString)>, Errno> {
        let state = self.0.lock();
        let names = state.names(folder)?.iter();
        names.map(|(name, number)| Ok((state.facts(*number)?, name.clone()))).collect()
    }

    pub(super) fn read(&self, number: Number, offset: u64, most: usize) -> Result<Vec<u8>, Errno> {
        let state = self.0.lock();
        let Some(Node::File(bytes)) = state.seen.nodes.get(&number) else { return Err(Errno::EISDIR) };
        let from = place(offset)?.min(bytes.len());
        Ok(bytes[from..bytes.len().min(from + most)].to_vec())
    }

    pub(super) fn create(&self, (parent, name): Name<'_>, kind: Kind) -> Result<Facts, Errno> {
        let mut state = self.0.lock();
        if state.names(parent)?.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        state.faults.room(true)?;
        state.last += 1;
        let number = state.last;
        state.make(Change::Create { parent, name: name.to_owned(), number, kind });
        state.facts(number)
    }

    /// Writes, if `from_cache` on behalf of a mapping, which is never told that there is no room.
    pub(super) fn write(&self, number: Number, offset: u64, data: &[u8], from_cache: bool) -> Result<(), Errno> {
        let mut state = self.0.lock();
        let (offset, length) = (place(offset)?, state.facts(number)?.length);
        place((offset + data.len()) as u64)?;
        if !from_cache {
            state.faults.room(offset + data.len() > length)?;
        }
        state.make(Change::Write { number, offset, data: Arc::from(data) });
        Ok(())
    }

    pub(super) fn resize(&self, number: Number, length: u64) -> Result<(), Errno> {
        let mut state = self.0.lock();
        let (before, length) = (state.facts(number)?.length, place(length)?);
        if length > before {
            state.faults.room(true)?;
        }
        state.make(Change::Resize { number, length });
        Ok(())
    }

    pub(super) fn rename(&self, from: Name<'_>, to: Name<'_>) -> Result<(), Errno> {
        let mut state = self.0.lock();
        let number = *state.names(from.0)?.get(from.1).ok_or(Errno::ENOENT)?;
        state.names(to.0)?;
        let owned = |(parent, name): Name<'_>| (parent, name.to_owned());
        state.make(Change::Rename { from: owned(from), to: owned(to), number });
        Ok(())
    }

    /// Has two names change what they are for.
    pub(super) fn exchange(&self, one: Name<'_>, other: Name<'_>) -> Result<(), Errno> {
        let mut state = self.0.lock();
        let number = |(parent, name): Name<'_>| state.names(parent)?.get(name).copied().ok_or(Errno::ENOENT);
        let were = [number(one)?, number(other)?];
        let owned = |(parent, name): Name<'_>| (parent, name.to_owned());
        state.make(Change::Exchange { one: owned(one), other: owned(other), were });
        Ok(())
    }

    pub(super) fn remove(&self, (parent, name): Name<'_>) -> Result<(), Errno> {
        let mut state = self.0.lock();
        let number = state.names(parent)?.get(name).copied().ok_or(Errno::ENOENT)?;
        if state.names(number).is_ok_and(|names| !names.is_empty()) {
            return Err(Errno::ENOTEMPTY);
        }
        state.make(Change::Remove { parent, name: name.to_owned() });
        Ok(())
    }

    /// Notes that a program has opened a file or a folder.
    pub(super) fn open(&self, number: Number) -> Handle {
        let mut state = self.0.lock();
        state.last_handle += 1;
        let handle = state.last_handle;
        state.open.insert(handle, Open { number, failed_elsewhere: false });
        handle
    }

    /// Notes that it is closed.
    pub(super) fn close(&self, handle: Handle) {
        self.0.lock().open.remove(&handle);
    }

    /// Makes the bytes and the length of a file durable, or the names in a folder.
    pub(super) fn sync(&self, number: Number, handle: Handle) -> Result<(), Errno> {
        let mut state = self.0.lock();
        if state.open.get_mut(&handle).is_some_and(|open| std::mem::take(&mut open.failed_elsewhere)) {
            return Err(Errno::EIO);
        }
        if !state.unsynced.contains(&number) {
            return Ok(());
        }
        match state.faults.sync() {
            Some(loses) => {
                if loses {
                    state.log.push(Change::Forget(number));
                }
                for (other, open) in &mut state.open {
                    open.failed_elsewhere |= open.number == number && *other != handle;
                }
                Err(Errno::EIO)
            }
            None => {
                state.unsynced.remove(&number);
                state.log.push(Change::Sync(number));
                Ok(())
            }
        }
    }
}

impl State {
    fn facts(&self, number: Number) -> Result<Facts, Errno> {
        match self.seen.nodes.get(&number).ok_or(Errno::ENOENT)? {
            Node::Folder(_) => Ok(Facts { number, kind: Kind::Folder, length: 0 }),
            Node::File(bytes) => Ok(Facts { number, kind: Kind::File, length: bytes.len() }),
        }
    }

    fn names(&self, folder: Number) -> Result<&BTreeMap<OsString, Number>, Errno> {
        match self.seen.nodes.get(&folder) {
            Some(Node::Folder(names)) => Ok(names),
            Some(Node::File(_)) => Err(Errno::ENOTDIR),
            None => Err(Errno::ENOENT),
        }
    }

    fn make(&mut self, change: Change) {
        for number in change.touches() {
            self.seen.apply(&change, number);
            self.unsynced.insert(number);
        }
        self.log.push(change);
    }
}

fn place(offset: u64) -> Result<usize, Errno> {
    if offset > LARGEST_FILE {
        return Err(Errno::EFBIG);
    }
    usize::try_from(offset).map_err(|_| Errno::EFBIG)
}
