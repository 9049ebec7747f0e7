//! A database that is open, from which redb's panics do not get out.

use redb::{
    Builder, Database, Error, ReadTransaction, ReadableDatabase, StorageBackend, StorageError, WriteTransaction,
};
use slipstream_store::Result;

use crate::fault::{self, caught};

/// What redb keeps of a file in memory, half of it at most for a commit, in bytes.
pub(crate) const CACHE: usize = 8 << 20;

/// An open database. Only dropping it takes the database out.
#[derive(Debug)]
pub(crate) struct Handle(Option<Database>);

impl Handle {
    /// Opens the database in `medium`, or makes it if there is nothing. `cache` is what redb keeps in memory, half of
    /// it at most for a commit, in bytes. `whole` has redb compare every page with its checksum.
    pub(crate) fn open(medium: impl StorageBackend, cache: usize, whole: bool) -> Result<Self, Error> {
        let mut builder = Builder::new();
        builder.set_cache_size(cache).set_check_integrity_on_open(whole);
        caught(|| Ok(Self(Some(builder.create_with_backend(medium)?))))
    }

    /// A view as of the last commit.
    pub(crate) fn read(&self) -> Result<ReadTransaction, Error> {
        caught(|| Ok(self.database()?.begin_read()?))
    }

    /// Does `work` in one transaction and makes it durable; if `work` fails nothing is done.
    pub(crate) fn write<T>(&self, work: impl FnOnce(&WriteTransaction) -> Result<T, Error>) -> Result<T, Error> {
        caught(|| {
            let transaction = self.database()?.begin_write()?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        })
    }

    /// How many bytes of a file that takes `on_disk` are free to be written over. It reads every page; if it cannot,
    /// none are.
    pub(crate) fn free_within(&self, on_disk: u64) -> u64 {
        let counted = caught(|| {
            let transaction = self.database()?.begin_write()?;
            let stats = transaction.stats()?;
            transaction.abort()?;
            Ok(stats.allocated_pages() * u64::try_from(stats.page_size()).unwrap_or(u64::MAX))
        });
        counted.map_or(0, |used| on_disk.saturating_sub(used))
    }

    /// Closes it in order, which the next opening is quicker for.
    pub(crate) fn close(mut self) -> Result<()> {
        let Some(database) = self.0.take() else { return Ok(()) };
        caught(|| Ok(database.close()?)).map_err(fault::reading)
    }

    fn database(&self) -> Result<&Database, StorageError> {
        self.0.as_ref().ok_or(StorageError::DatabaseClosed)
    }
}

impl Drop for Handle {
    /// redb closes a database that is dropped, and may panic then over pages that are damaged.
    fn drop(&mut self) {
        let database = self.0.take();
        let closed = caught(|| {
            drop(database);
            Ok(())
        });
        // Whoever wanted to know would have called `close`.
        drop(closed);
    }
}
