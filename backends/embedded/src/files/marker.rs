//! The marker: the lock file says which opening the data beside it belong to, and whether it ended in order.
//!
//! It is written twice when a store is opened, before and after the label is put into the data, and once when it is closed
//! in order; nothing is written for a commit. It has two slots that are written in turn, so that a power cut leaves the
//! new entry or the old one. A copy of an open store is known by its files: they are not those that were opened.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use slipstream_store::{Result, StoreError};

use crate::engine::Engine;
use crate::files::file_id::{FileId, are_same};
use crate::files::lock::StoreLock;
use crate::files::opening::{Findings, Label, Mismatch, Opening, State};
use crate::files::place::Place;
use crate::files::slots::{Entry, SLOTS};
use crate::files::system;

/// What keeps an opening of a store told from every other one. It lives as long as the opening.
#[derive(Debug)]
pub struct Marker {
    file: File,
    place: Place,
    written: Option<Entry>,
    /// The opening that has its label in the data.
    begun: Option<Opening>,
}

impl Place {
    /// Looks whether what is here may be opened: a store that was closed in order, or one that crashed here. It changes
    /// nothing of a store; if there is none, it clears what the lock file says of an earlier one.
    ///
    /// # Errors
    /// `Corrupted` if the data were copied from an open store, or lie beside a log that is not theirs, or without
    /// theirs. The text says what to do.
    pub fn admit(&self, lock: &StoreLock, label: Label) -> Result<Marker> {
        let mut marker = Marker::of(self, lock)?;
        if !self.has_store() {
            if self.has_log() == Some(true) {
                return Err(self.mismatch(Mismatch::StrayLog));
            }
            marker.clear()?;
            return Ok(marker);
        }
        marker.findings(label).judge().map_err(|mismatch| self.mismatch(mismatch))?;
        Ok(marker)
    }

    /// Notes that what is here is to be opened as it is, though it may be torn: nothing better is left.
    ///
    /// # Errors
    /// As [`lock`](Self::lock), and if the marker cannot be written.
    pub fn salvage(&self) -> Result<()> {
        let lock = self.lock()?;
        let mut marker = Marker::of(self, &lock)?;
        marker.write(State::Salvage, Opening::begin())
    }

    /// What is wrong with data of which the engine makes nothing: if the marker says that they are a copy of an open
    /// store, that; otherwise what the engine says, and what can be done.
    #[must_use]
    pub fn explain(&self, lock: &StoreLock, error: StoreError) -> StoreError {
        match (error, self.admit(lock, Label::Unreadable)) {
            (StoreError::Corrupted(_) | StoreError::Unsupported(_), Err(refused @ StoreError::Corrupted(_))) => refused,
            (StoreError::Corrupted(text), _) => StoreError::Corrupted(format!(
                "{text}. If this is a copy that was made while a relay had the store open, it is torn: copy all files again \
                 after the relay has stopped. If not, keep it as it is, and restore a backup with `slipstream store restore`"
            )),
            (error, _) => error,
        }
    }

    fn mismatch(&self, mismatch: Mismatch) -> StoreError {
        let (data, log) = (self.data(), self.log().unwrap_or_default());
        let (data, log, restore) = (data.display(), log.display(), "`slipstream store restore`");
        StoreError::Corrupted(match mismatch {
            Mismatch::StrayLog => format!(
                "{data}: the log beside it, {log}, does not belong to it, and would damage it. If the database was put here \
                 from a backup or a finished copy, move the log to another folder and start again ({restore} does both). \
                 If not, put the database back that the log belongs to"
            ),
            Mismatch::LogMissing => format!(
                "{data}: it was copied while a relay had it open, and its log, {log}, is missing: what was confirmed last \
                 is only there. Put the log back; or copy all files again after the relay has stopped; or restore a \
                 backup with {restore}. If nothing else is left, move it aside and take what is whole with \
                 `slipstream store restore --unclean`"
            ),
            Mismatch::CopiedOpen => format!(
                "{data}: this is a copy, made while a relay had the store open or before it was closed in order, so that \
                 it may be torn and confirmed messages may be missing. Copy all files again after the relay has stopped, \
                 or restore a backup with {restore}. If nothing else is left, move it aside and take what is whole with \
                 `slipstream store restore --unclean`"
            ),
        })
    }
}

impl Marker {
    fn of(place: &Place, lock: &StoreLock) -> Result<Self> {
        let read = lock.file().try_clone().and_then(|file| Ok((Entry::newest(&file)?, file)));
        let (written, file) =
            read.map_err(|error| system::fault("reading the marker in", &place.lock_path(), &error))?;
        Ok(Self { file, place: place.clone(), written, begun: None })
    }

    fn findings(&self, label: Label) -> Findings {
        let marker = self.written.as_ref().map(|entry| (entry.state, entry.opening));
        let are_same_files = self.written.as_ref().is_none_or(|entry| are_same(&entry.files, &ids(&self.place)));
        Findings { marker, label, are_same_files, log: self.place.has_log() }
    }

    /// Begins the opening, before anything else is written: afterwards the data and the marker have its number. Once that
    /// is done it does nothing.
    ///
    /// # Errors
    /// `Full` or `Busy` if it may be tried again; `Poisoned` if a sync failed.
    pub fn begin(&mut self, engine: &mut impl Engine) -> Result<()> {
        if self.begun.is_some() {
            return Ok(());
        }
        let opening = match &self.written {
            // Tried before.
            Some(Entry { state: State::Beginning, opening, files, .. }) if *files == ids(&self.place) => *opening,
            _ => Opening::begin(),
        };
        self.write(State::Beginning, opening)?;
        engine.set_label(opening)?;
        self.write(State::Open, opening)?;
        self.begun = Some(opening);
        Ok(())
    }

    /// Begins it at once if the engine has a log, since the log is moved for it, which waits for readers: there are none
    /// yet. Other engines begin with the first write, so that who only reads changes nothing.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub(crate) fn begin_with_log(&mut self, engine: &mut impl Engine) -> Result<()> {
        if self.place.log().is_some() { self.begin(engine) } else { Ok(()) }
    }

    /// Closes the engine, and notes that this was done in order, if anything was written, or if a crash had left the store
    /// open: its data are whole now, and so are copies of them.
    ///
    /// # Errors
    /// As [`Engine::close`]; the next opening then takes the store for one that crashed.
    pub fn close<E: Engine>(mut self, mut engine: E) -> Result<()> {
        let opening = match (self.begun, engine.label()?) {
            (Some(opening), _) => opening,
            (None, Label::Of(opening)) if !opening.is_over() => opening,
            _ => return engine.close(),
        };
        // If this fails the engine is dropped, and its log stays.
        engine.set_label(opening.over())?;
        engine.close()?;
        // The log is gone for good before the marker says so.
        self.place.sync()?;
        self.write(State::Closed, opening)
    }

    fn write(&mut self, state: State, opening: Opening) -> Result<()> {
        let turn = self.written.as_ref().map_or(0, |entry| entry.turn + 1);
        let entry = Entry { turn, state, opening, files: ids(&self.place) };
        let path = self.place.lock_path();
        let slot = SLOTS[usize::from(turn % 2 == 1)];
        let wrote = self.file.write_all_at(&entry.slot(), slot);
        wrote.map_err(|error| system::fault("writing the marker in", &path, &error))?;
        // What a sync that failed has left on the medium is not known.
        let synced = self.file.sync_all();
        synced.map_err(|error| StoreError::Poisoned(format!("syncing {}: {error}", path.display())))?;
        self.written = Some(entry);
        Ok(())
    }

    fn clear(&mut self) -> Result<()> {
        if self.written.take().is_none() {
            return Ok(());
        }
        let cleared = self.file.set_len(0).and_then(|()| self.file.sync_all());
        cleared.map_err(|error| system::fault("clearing the marker in", &self.place.lock_path(), &error))
    }
}

/// What tells the data and the log here from their copies.
fn ids(place: &Place) -> [Option<FileId>; 2] {
    let log = place.log();
    [FileId::of(&place.witness()), log.and_then(|log| FileId::of(&log))]
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::files::names::Files;
    use crate::memory::Medium;

    const X: Files = Files { data: "slipstream.x", within: &[], log: Some("-wal"), beside: &["-wal"] };

    /// A place with data and an empty log in it.
    fn place(folder: &Path) -> Place {
        let place = Place::folder(folder, X);
        fs::write(place.data(), "rows").unwrap();
        fs::write(folder.join("slipstream.x-wal"), "").unwrap();
        place
    }

    fn state(place: &Place, lock: &StoreLock) -> Option<State> {
        place.admit(lock, Label::Unreadable).unwrap().written.map(|entry| entry.state)
    }

    #[test]
    fn an_opening_is_marked_when_it_begins_and_when_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let (place, mut engine) = (place(folder.path()), Medium::default());
        let lock = place.lock().unwrap();
        let mut marker = place.admit(&lock, Label::Missing).unwrap();
        assert_eq!(state(&place, &lock), None);
        marker.begin(&mut engine).unwrap();
        let opening = marker.begun.unwrap();
        assert_eq!((state(&place, &lock), engine.label()), (Some(State::Open), Ok(Label::Of(opening))));
        marker.close(engine.clone()).unwrap();
        assert_eq!((state(&place, &lock), engine.label()), (Some(State::Closed), Ok(Label::Of(opening.over()))));

        let marker = place.admit(&lock, engine.label().unwrap()).unwrap();
        let before = fs::read(place.lock_path()).unwrap();
        marker.close(engine).unwrap();
        assert_eq!(fs::read(place.lock_path()).unwrap(), before, "who only reads leaves no mark");
    }

    #[test]
    fn a_slot_that_was_torn_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let (place, mut engine) = (place(folder.path()), Medium::default());
        let lock = place.lock().unwrap();
        place.admit(&lock, Label::Missing).unwrap().begin(&mut engine).unwrap();
        let file = File::options().write(true).open(place.lock_path()).unwrap();
        // `Beginning` is in the first, `Open` in the second.
        file.write_all_at(b"torn", SLOTS[1] + 40).unwrap();
        assert_eq!(state(&place, &lock), Some(State::Beginning));
        file.write_all_at(b"torn", SLOTS[0] + 40).unwrap();
        assert_eq!(state(&place, &lock), None);
    }

    #[test]
    fn a_copy_of_an_open_store_is_known_by_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let (first, mut engine) = (place(folder.path()), Medium::default());
        let lock = first.lock().unwrap();
        first.admit(&lock, Label::Missing).unwrap().begin(&mut engine).unwrap();
        fs::write(folder.path().join("slipstream.x-wal"), "rows").unwrap();
        let label = engine.label().unwrap();
        assert!(first.admit(&lock, label).is_ok(), "it crashed here");
        let elsewhere = tempfile::tempdir().unwrap();
        for name in ["slipstream.x", "slipstream.x-wal", "slipstream.lock"] {
            fs::copy(folder.path().join(name), elsewhere.path().join(name)).unwrap();
        }
        let copy = Place::folder(elsewhere.path(), X);
        let refused = copy.admit(&copy.lock().unwrap(), label).unwrap_err();
        assert!(matches!(&refused, StoreError::Corrupted(text) if text.contains("restore")), "{refused}");
        fs::rename(elsewhere.path().join("slipstream.x"), first.data()).unwrap();
        assert!(first.admit(&lock, label).is_err(), "the copy in the place of the data");
    }

    #[test]
    fn a_log_without_its_data_is_no_new_store() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path());
        fs::write(folder.path().join("slipstream.x-wal"), "rows").unwrap();
        fs::remove_file(place.data()).unwrap();
        assert!(place.admit(&place.lock().unwrap(), Label::Missing).is_err());
    }
}
