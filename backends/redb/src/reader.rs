//! What the threads that read do: views, checks and copies.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Error, ReadTransaction, ReadableTable, WriteTransaction};
use slipstream_embedded::{Opening, Reader, Table, Tables};
use slipstream_store::{Defect, Depth, Result, StoreError};

use crate::fault::{self, caught};
use crate::handle::Handle;
use crate::make;
use crate::medium::Medium;
use crate::place::place;
use crate::tables::{self, FORMAT, OPENING, View};

/// What a check keeps in memory, in bytes.
const CHECK_CACHE: usize = 1 << 20;

/// A handle that only reads.
#[derive(Debug)]
pub struct RedbReader {
    database: Arc<Handle>,
    medium: Medium,
    file: PathBuf,
}

impl RedbReader {
    pub(crate) fn new(database: Arc<Handle>, medium: Medium, file: PathBuf) -> Self {
        Self { database, medium, file }
    }

    fn view(&self) -> Result<ReadTransaction> {
        self.database.read().map_err(fault::reading)
    }
}

impl Reader for RedbReader {
    fn read(&mut self, work: &mut dyn FnMut(&dyn Tables) -> Result<()>) -> Result<()> {
        work(&View(self.view()?))
    }

    /// Until the first commit after opening, redb compares every page with its checksum. Later it cannot, since it
    /// would have to have the file for itself: then every row is read, which finds pages that make no sense.
    fn verify(&mut self, _: Depth) -> Result<Vec<Defect>> {
        let copy = self.medium.copy(&self.file).map_err(|error| fault::opening(error.into()))?;
        let compared = copy.map(|copy| Handle::open(copy, CHECK_CACHE, true).map(drop));
        let found = match compared {
            Some(compared) if self.medium.is_held_back() => compared,
            _ => walk(&self.view()?),
        };
        match found.map_err(fault::reading) {
            Ok(()) => Ok(Vec::new()),
            Err(StoreError::Corrupted(text)) => Ok(vec![Defect(text)]),
            Err(other) => Err(other),
        }
    }

    fn backup(&mut self, target: &Path) -> Result<()> {
        let (place, view) = (place(target), self.view()?);
        place.write_new(|made| make::filled(&made.data(), |copy| copy_tables(&view, copy)))
    }
}

/// Reads every row.
fn walk(view: &ReadTransaction) -> Result<(), Error> {
    for table in Table::ALL {
        let rows = caught(|| match tables::opened(view, table)? {
            Some(table) => Ok(Some(table.range::<&[u8]>(..)?)),
            None => Ok(None),
        });
        let Some(mut rows) = rows? else { continue };
        while caught(|| Ok(rows.next().transpose()?.map(drop)))?.is_some() {}
    }
    Ok(())
}

fn copy_tables(view: &ReadTransaction, copy: &WriteTransaction) -> Result<(), Error> {
    copy.open_table(FORMAT)?.insert(OPENING, Opening::of_a_copy().code())?;
    for table in Table::ALL {
        let mut to = copy.open_table(tables::of(table))?;
        let Some(from) = tables::opened(view, table)? else { continue };
        for row in from.iter()? {
            let (key, value) = row?;
            to.insert(key.value(), value.value())?;
        }
    }
    Ok(())
}
