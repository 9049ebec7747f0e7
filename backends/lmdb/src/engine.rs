//! The engine: an environment, whose one writer commits and whose readers have views.

use heed::Error;
use slipstream_embedded::{Engine, Label, MessageRow, Opening, Place, Table, Tables, Visited, Write};
use slipstream_store::{Durability, Result, StoreError};

use crate::environment::{self, Environment};
use crate::reader::LmdbReader;
use crate::room::Room;
use crate::tables::{Databases, View};
use crate::{fault, inspect, label, make};

/// LMDB's tables of a store, held by its writer.
#[derive(Debug)]
pub struct LmdbEngine {
    environment: Environment,
    databases: Databases,
    room: Room,
}

impl LmdbEngine {
    /// Opens the store at this place, and makes it if there is none.
    pub(crate) fn open(place: &Place, durability: Durability) -> Result<Self> {
        let file = place.data();
        if !inspect::is_store(&file)? {
            make::empty(&file)?;
        }
        // Also of a store that is there: it may have got its name just before a crash.
        place.sync()?;
        let environment = environment::map(&file, durability)?;
        let databases = environment::open_tables(&environment, &file)?;
        // Slots of processes that were killed; of another program, since a store has one process.
        environment.clear_stale_readers().map_err(|error| fault::reading(&error))?;
        let room = Room::of(&file)?;
        Ok(Self { environment, databases, room })
    }

    fn view<T>(&self, read: impl FnOnce(&View<'_>) -> Result<T>) -> Result<T> {
        View::of(&self.environment, &self.databases, read)
    }

    /// How many bytes the pages take that are or were used.
    fn used(&self) -> u64 {
        let pages = self.environment.info().last_page_number + 1;
        u64::try_from(pages).unwrap_or(u64::MAX) * u64::from(self.environment.unnamed_database_stat().page_size)
    }

    /// What it means that a commit failed.
    fn failed(&self, error: &Error) -> StoreError {
        // If the page that names the commit could not be written, LMDB refuses every later transaction.
        let undone = self.environment.write_txn().is_ok() && self.room.is_synced();
        match fault::writing(error) {
            // What the disk had room for in part only is to LMDB an error of the device.
            StoreError::Poisoned(text) if undone && !self.room.was_enough() && matches!(error, Error::Io(_)) => {
                StoreError::Full(format!("the disk has no room: {text}"))
            }
            StoreError::Full(text) if !undone => StoreError::Poisoned(text),
            other => other,
        }
    }
}

impl Tables for LmdbEngine {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.view(|view| view.get(table, key))
    }

    fn scan(
        &self,
        table: Table,
        first: &[u8],
        last: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visited,
    ) -> Result<()> {
        self.view(|view| view.scan(table, first, last, visit))
    }
}

impl Engine for LmdbEngine {
    type Reader = LmdbReader;

    /// With its head one page of LMDB, which fits into any free page: a longer row wants pages that lie side by side, and the
    /// file grows where there are none.
    const PACK_BYTES: usize = 4080;

    fn apply(&mut self, writes: &[Write<'_>]) -> Result<()> {
        self.room.make(self.used(), writes)?;
        let mut transaction = self.environment.write_txn().map_err(|error| fault::writing(&error))?;
        // A transaction that is dropped is undone.
        self.databases.write(&mut transaction, writes)?;
        transaction.commit().map_err(|error| self.failed(&error))
    }

    fn set_label(&mut self, opening: Opening) -> Result<()> {
        self.room.make(self.used(), &[])?;
        self.databases.set_label(&self.environment, opening).map_err(|error| self.failed(&error))
    }

    fn label(&self) -> Result<Label> {
        self.view(|view| {
            let found = view.databases.marks.get(view.transaction, label::OPENING);
            Ok(found.map_err(|error| fault::reading(&error))?.map_or(Label::Missing, label::of))
        })
    }

    fn unpacked(&self, visit: &mut dyn FnMut(&MessageRow<'_>) -> Visited) -> Result<bool> {
        self.view(|view| view.unpacked(visit))
    }

    fn reader(&self) -> Result<LmdbReader> {
        Ok(LmdbReader::new(self.environment.clone(), self.databases))
    }

    fn bytes(&self) -> Result<u64> {
        self.environment.real_disk_size().map_err(|error| fault::reading(&error))
    }

    fn reclaim(&mut self) -> Result<()> {
        // LMDB's file never becomes shorter; its free pages are used again.
        Ok(())
    }

    fn close(self) -> Result<()> {
        // With `relaxed`, the last commit is not surely on the medium yet.
        self.environment.force_sync().map_err(|error| fault::writing(&error))
    }
}
