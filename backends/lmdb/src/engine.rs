//! The engine: an environment, whose one writer commits and whose readers have views.

use std::fs::File;
use std::path::Path;

use heed::{CompactionOption, Error};
use slipstream_embedded::{Engine, Label, MessageRow, Opening, Reader, Table, Tables, Visited, Write};
use slipstream_store::{Defect, Depth, Result, StoreError};

use crate::environment::{self, Environment};
use crate::header::Meta;
use crate::room::Room;
use crate::tables::{Databases, View};
use crate::{fault, header, pages, place};

/// LMDB's tables of a store, held by its writer.
#[derive(Debug)]
pub struct LmdbEngine {
    environment: Environment,
    databases: Databases,
    room: Room,
}

impl LmdbEngine {
    pub(crate) fn new(environment: Environment, databases: Databases, room: Room) -> Self {
        Self { environment, databases, room }
    }

    fn view<T>(&self, read: impl FnOnce(&View<'_>) -> Result<T>) -> Result<T> {
        view(&self.environment, &self.databases, read)
    }

    /// How many bytes the pages take that are or were used.
    fn used(&self) -> u64 {
        let pages = self.environment.info().last_page_number + 1;
        u64::try_from(pages).unwrap_or(u64::MAX) * u64::from(self.environment.unnamed_database_stat().page_size)
    }

    /// What it means that a commit failed.
    fn failed(&self, error: &Error) -> StoreError {
        // Where the page that names the commit could not be written, LMDB refuses every later transaction.
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

fn view<T>(environment: &Environment, databases: &Databases, read: impl FnOnce(&View<'_>) -> Result<T>) -> Result<T> {
    let transaction = environment.read_txn().map_err(|error| fault::reading(&error))?;
    read(&View { databases, transaction: &transaction })
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

    fn messages(&self, first: u64, last: u64, visit: &mut dyn FnMut(&MessageRow<'_>) -> Visited) -> Result<()> {
        self.view(|view| view.messages(first, last, visit))
    }
}

impl Engine for LmdbEngine {
    type Reader = LmdbReader;

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
            let found = view.databases.marks.get(view.transaction, environment::OPENING);
            Ok(found.map_err(|error| fault::reading(&error))?.map_or(Label::Missing, header::label_of))
        })
    }

    fn reader(&self) -> Result<LmdbReader> {
        Ok(LmdbReader { environment: self.environment.clone(), databases: self.databases })
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

/// Looks over a file that others may be writing to.
fn look_over(file: &Path) -> Result<u64> {
    let mut file =
        File::open(file).map_err(|error| fault::system(&error, format!("reading {}: {error}", file.display())))?;
    loop {
        // A commit may be writing the page that is read; what is read twice alike is whole.
        let (meta, _) = Meta::newest(&mut file)?;
        if Meta::newest(&mut file)?.0 == meta {
            return pages::look_over(&mut file, &meta);
        }
    }
}

/// Views on the tables.
#[derive(Debug)]
pub struct LmdbReader {
    environment: Environment,
    databases: Databases,
}

impl Reader for LmdbReader {
    fn read(&mut self, work: &mut dyn FnMut(&dyn Tables) -> Result<()>) -> Result<()> {
        view(&self.environment, &self.databases, |view| work(view))
    }

    fn verify(&mut self, _: Depth) -> Result<Vec<Defect>> {
        // What is stored as of this view or later is not overwritten while the view is held.
        let view = self.environment.read_txn().map_err(|error| fault::reading(&error))?;
        let found = look_over(self.environment.path());
        drop(view);
        match found {
            Ok(0) => Ok(Vec::new()),
            Ok(lost) => Ok(vec![Defect(format!("{lost} pages belong to no table and are not free"))]),
            Err(StoreError::Corrupted(text)) => Ok(vec![Defect(text)]),
            Err(other) => Err(other),
        }
    }

    fn backup(&mut self, target: &Path) -> Result<()> {
        place(target).write_new(|made| {
            let file = made.data();
            // Without the free pages.
            let copied = self.environment.copy_to_path(&file, CompactionOption::Enabled);
            let copied = copied.map_err(|error| header::about(&file, fault::reading(&error)))?;
            drop(copied);
            environment::label_copy(&file, Opening::of_a_copy())?;
            let synced = File::open(&file).and_then(|file| file.sync_all());
            synced.map_err(|error| fault::system(&error, format!("syncing {}: {error}", file.display())))
        })
    }
}
