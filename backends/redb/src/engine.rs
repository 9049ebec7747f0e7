//! The engine: one redb database, which its readers share.

use std::path::PathBuf;
use std::sync::Arc;

use slipstream_embedded::{Engine, MessageRow, Table, Tables, Visited, Write};
use slipstream_store::Result;

use crate::fault;
use crate::handle::Handle;
use crate::medium::Medium;
use crate::reader::RedbReader;
use crate::room::Room;
use crate::tables::View;
use crate::{medium, writes};

/// redb's tables of a store, held by its writer.
#[derive(Debug)]
pub struct RedbEngine {
    database: Arc<Handle>,
    medium: Medium,
    file: PathBuf,
    room: Room,
}

impl RedbEngine {
    pub(crate) fn new(database: Handle, medium: Medium, file: PathBuf) -> Self {
        Self { database: Arc::new(database), medium, file, room: Room::new() }
    }

    fn view(&self) -> Result<View> {
        self.database.read().map(View).map_err(fault::reading)
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

    fn messages(&self, first: u64, last: u64, visit: &mut dyn FnMut(&MessageRow<'_>) -> Visited) -> Result<()> {
        self.view()?.messages(first, last, visit)
    }
}

impl Engine for RedbEngine {
    type Reader = RedbReader;

    fn apply(&mut self, writes: &[Write<'_>]) -> Result<()> {
        let free = medium::free(&self.file);
        self.room.admit(free, writes, || {
            let size = medium::on_disk(&self.file)?;
            Ok((self.database.free_within(size), size))
        })?;
        self.medium.let_through().map_err(|error| fault::letting_through(&error))?;
        let freed = self.database.write(|transaction| writes::write(transaction, writes)).map_err(fault::writing)?;
        self.room.gain(freed);
        Ok(())
    }

    fn reader(&self) -> Result<RedbReader> {
        Ok(RedbReader::new(Arc::clone(&self.database), self.medium.clone(), self.file.clone()))
    }

    fn bytes(&self) -> Result<u64> {
        medium::on_disk(&self.file)
    }

    fn reclaim(&mut self) -> Result<()> {
        // Each commit of redb cuts off half of what is free at the end of the file, where that is half of the region.
        Ok(())
    }

    fn close(self) -> Result<()> {
        Arc::into_inner(self.database).map_or(Ok(()), Handle::close)
    }
}
