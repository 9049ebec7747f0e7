//! The engine: one redb database, which its readers share.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use slipstream_embedded::{Engine, Label, MessageRow, Opening, Table, Tables, Visited, Write};
use slipstream_store::Result;

use crate::fault::{self, caught};
use crate::handle::Handle;
use crate::medium::{self, Medium};
use crate::reader::RedbReader;
use crate::room::Room;
use crate::tables::{FORMAT, OPENING, View};
use crate::{connect, writes};

/// redb's tables of a store, held by its writer.
#[derive(Debug)]
pub struct RedbEngine {
    database: Arc<Handle>,
    medium: Medium,
    file: PathBuf,
    room: Room,
}

impl RedbEngine {
    /// Opens the store in the file, and writes nothing to it.
    pub(crate) fn open(file: &Path) -> Result<Self> {
        let (database, medium) = connect::open(file)?;
        Ok(Self { database: Arc::new(database), medium, file: file.to_owned(), room: Room::new() })
    }

    fn view(&self) -> Result<View> {
        self.database.read().map(View).map_err(fault::reading)
    }

    /// Returns `Full` if there is no room for these writes; otherwise they may go to the file.
    fn admit(&mut self, writes: &[Write<'_>]) -> Result<()> {
        let free = medium::free(&self.file);
        self.room.admit(free, writes, || {
            let size = medium::on_disk(&self.file)?;
            Ok((self.database.free_within(size), size))
        })?;
        self.medium.let_through().map_err(|error| fault::letting_through(&error))
    }
}

impl Tables for RedbEngine {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.view()?.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        first: &[u8],
        last: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visited,
    ) -> Result<()> {
        self.view()?.scan(table, first, last, visit)
    }
}

impl Engine for RedbEngine {
    type Reader = RedbReader;

    fn apply(&mut self, writes: &[Write<'_>]) -> Result<()> {
        self.admit(writes)?;
        let freed = self.database.write(|transaction| writes::write(transaction, writes)).map_err(fault::writing)?;
        self.room.gain(freed);
        Ok(())
    }

    fn set_label(&mut self, opening: Opening) -> Result<()> {
        self.admit(&[Write::Put { table: Table::Meta, key: OPENING.as_bytes(), value: &[] }])?;
        let put = self.database.write(|transaction| {
            transaction.open_table(FORMAT)?.insert(OPENING, opening.code())?;
            Ok(())
        });
        put.map_err(fault::writing)
    }

    fn label(&self) -> Result<Label> {
        let found = caught(|| {
            let row = self.database.read()?.open_table(FORMAT)?.get(OPENING)?;
            Ok(row.map(|code| Opening::from_code(code.value())))
        });
        Ok(found.map_err(fault::reading)?.map_or(Label::Missing, Label::Of))
    }

    fn unpacked(&self, visit: &mut dyn FnMut(&MessageRow<'_>) -> Visited) -> Result<bool> {
        self.view()?.unpacked(visit)
    }

    fn reader(&self) -> Result<RedbReader> {
        Ok(RedbReader::new(Arc::clone(&self.database), self.medium.clone(), self.file.clone()))
    }

    fn bytes(&self) -> Result<u64> {
        medium::on_disk(&self.file)
    }

    fn reclaim(&mut self) -> Result<()> {
        // Each commit of redb cuts off half of what is free at the end of the file, if that is half of the region.
        Ok(())
    }

    fn close(self) -> Result<()> {
        Arc::into_inner(self.database).map_or(Ok(()), Handle::close)
    }
}
