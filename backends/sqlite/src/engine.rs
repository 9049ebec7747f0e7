//! The engine: one connection that writes, and one for each reader.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, OptionalExtension as _, config::DbConfig, params};
use slipstream_embedded::{Engine, Label, MessageRow, Opening, Reader, Table, Tables, Visited, Write, beside, system};
use slipstream_store::{Defect, Depth, Result, StoreError};

use crate::tables::{Columns, Key, Value};
use crate::{connect, fault, label, place::place, sql};

/// Free pages are given back once they are more than this many, and than a quarter of the file.
const FREE_PAGES: i64 = 4096;

/// Most pages that are given back at once, so that a commit does not wait long.
const PAGES_AT_ONCE: i64 = 1024;

/// SQLite's tables of a store, held by its writer.
#[derive(Debug)]
pub struct SqliteEngine {
    connection: Connection,
    file: PathBuf,
}

impl SqliteEngine {
    pub(crate) fn new(connection: Connection, file: PathBuf) -> Self {
        Self { connection, file }
    }

    fn write(&self, writes: &[Write<'_>]) -> rusqlite::Result<()> {
        for write in writes {
            match write {
                Write::Put { table, key, value } => {
                    let mut put = self.connection.prepare_cached(sql::of(*table).put)?;
                    put.execute(params![Key::new(*table, key), Value(ValueRef::Blob(value))])?;
                }
                Write::Remove { table, key } => {
                    let mut remove = self.connection.prepare_cached(sql::of(*table).remove)?;
                    remove.execute([Key::new(*table, key)])?;
                }
                Write::RemoveUnpacked { last } => self.remove_unpacked(*last)?,
            }
        }
        Ok(())
    }

    /// Removes the messages of version 1 up to this one. If none is left, it is version 2.
    fn remove_unpacked(&self, last: u64) -> rusqlite::Result<()> {
        self.connection.execute(sql::REMOVE_UNPACKED, [i64::try_from(last).unwrap_or(i64::MAX)])?;
        if self.connection.query_row(sql::ANY_UNPACKED, [], |_| Ok(())).optional()?.is_none() {
            self.connection.execute_batch(&connect::end_of_version_1())?;
        }
        Ok(())
    }

    fn pragma(&self, name: &str) -> rusqlite::Result<i64> {
        self.connection.pragma_query_value(None, name, |row| row.get(0))
    }

    fn vacuum(&self) -> rusqlite::Result<()> {
        let mut vacuum = self.connection.prepare_cached(&format!("PRAGMA incremental_vacuum({PAGES_AT_ONCE})"))?;
        // Each row stands for one page; the statement has to be stepped to its end.
        let mut pages = vacuum.query([])?;
        while pages.next()?.is_some() {}
        Ok(())
    }

    /// Rolls back what has begun; whether surely nothing of it is left.
    fn roll_back(&self) -> bool {
        // SQLite rolls back by itself if it must; a second time is then an error, and no harm.
        drop(self.connection.execute_batch("ROLLBACK"));
        self.connection.is_autocommit()
    }
}

impl Tables for SqliteEngine {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Columns(&self.connection).get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        first: &[u8],
        last: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visited,
    ) -> Result<()> {
        Columns(&self.connection).scan(table, first, last, visit)
    }
}

impl Engine for SqliteEngine {
    type Reader = SqliteReader;

    fn apply(&mut self, writes: &[Write<'_>]) -> Result<()> {
        let begin = self.connection.prepare_cached("BEGIN IMMEDIATE").and_then(|mut begin| begin.execute([]));
        begin.map_err(|error| fault::writing(&error, self.connection.is_autocommit()))?;
        let done = self.write(writes);
        let done = done.and_then(|()| self.connection.prepare_cached("COMMIT")?.execute([]));
        done.map(drop).map_err(|error| fault::writing(&error, self.roll_back()))
    }

    fn set_label(&mut self, opening: Opening) -> Result<()> {
        label::put(&self.connection, opening).map_err(|error| {
            let rolled_back = self.roll_back();
            match connect::refused(&self.file, &error) {
                // A store that can only be read is not opened.
                refused @ StoreError::Inaccessible(_) if rolled_back => refused,
                _ => fault::writing(&error, rolled_back),
            }
        })?;
        // What is over goes into the file when it is closed.
        if opening.is_over() { Ok(()) } else { label::move_log(&self.connection) }
    }

    fn label(&self) -> Result<Label> {
        label::seen_by(&self.connection).map_err(|error| fault::reading(&error))
    }

    fn unpacked(&self, visit: &mut dyn FnMut(&MessageRow<'_>) -> Visited) -> Result<bool> {
        Columns(&self.connection).unpacked(visit)
    }

    fn reader(&self) -> Result<SqliteReader> {
        Ok(SqliteReader { connection: connect::reader(&self.file)? })
    }

    fn bytes(&self) -> Result<u64> {
        let pages = self.pragma("page_count").and_then(|count| Ok(count * self.pragma("page_size")?));
        let pages = pages.map_err(|error| fault::reading(&error))?;
        let log = fs::metadata(beside(&self.file, "-wal")).map_or(0, |file| file.len());
        Ok(u64::try_from(pages).unwrap_or(0) + log)
    }

    fn reclaim(&mut self) -> Result<()> {
        let free = self.pragma("freelist_count").and_then(|free| Ok((free, self.pragma("page_count")?)));
        let (free, pages) = free.map_err(|error| fault::reading(&error))?;
        if free <= FREE_PAGES || free <= pages / 4 {
            return Ok(());
        }
        let vacuum = self.vacuum();
        match vacuum.map_err(|error| fault::writing(&error, self.connection.is_autocommit())) {
            // The space can be used again all the same.
            Err(StoreError::Busy(_) | StoreError::Full(_)) | Ok(()) => Ok(()),
            Err(other) => Err(other),
        }
    }

    fn close(self) -> Result<()> {
        let set = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false);
        set.map_err(|error| fault::reading(&error))?;
        self.connection.close().map_err(|(_, error)| fault::reading(&error))?;
        // The last one to close moves the log into the file and removes it.
        let log = beside(&self.file, "-wal");
        if log.exists() {
            let text = "is left, because another program has the store's file open or the disk is full. Nothing is lost: \
                        the next start takes it in, once there is room";
            return Err(StoreError::Busy(format!("{} {text}", log.display())));
        }
        Ok(())
    }
}

/// A connection that only reads.
#[derive(Debug)]
pub struct SqliteReader {
    connection: Connection,
}

impl Reader for SqliteReader {
    fn read(&mut self, work: &mut dyn FnMut(&dyn Tables) -> Result<()>) -> Result<()> {
        // The view is taken at the first read, and given back when the transaction is dropped.
        let snapshot = self.connection.transaction().map_err(|error| fault::reading(&error))?;
        work(&Columns(&snapshot))
    }

    fn verify(&mut self, depth: Depth) -> Result<Vec<Defect>> {
        let pragma = match depth {
            Depth::Quick => "PRAGMA quick_check(100)",
            Depth::Full => "PRAGMA integrity_check(100)",
        };
        match connect::findings(&self.connection, pragma) {
            Ok(found) => Ok(found.into_iter().map(Defect).collect()),
            Err(error) => match fault::reading(&error) {
                StoreError::Corrupted(text) => Ok(vec![Defect(text)]),
                other => Err(other),
            },
        }
    }

    fn backup(&mut self, target: &Path) -> Result<()> {
        place(target).write_new(|made| self.copy_to(&made.data()))
    }
}

impl SqliteReader {
    fn copy_to(&self, file: &Path) -> Result<()> {
        let Some(name) = file.to_str() else {
            return Err(StoreError::Unsupported(format!("{}: expected a path in UTF-8", file.display())));
        };
        connect::make_file(file)?;
        let copied = self.connection.execute("VACUUM INTO ?1", [name]);
        copied.map_err(|error: Error| connect::refused(file, &error))?;
        let labelled = Connection::open(file).and_then(|copy| {
            // Of a copy that is not finished nothing is left, and it is synced below.
            copy.execute_batch("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;")?;
            label::put(&copy, Opening::of_a_copy())
        });
        labelled.map_err(|error| connect::refused(file, &error))?;
        let synced = File::open(file).and_then(|file| file.sync_all());
        synced.map_err(|error| system::fault("syncing", file, &error))
    }
}
