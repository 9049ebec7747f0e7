//! Reading and writing the tables within a transaction.

use std::ops::{Bound, ControlFlow};

use heed::types::Bytes;
use heed::{RoTxn, RwTxn, WithoutTls};
use slipstream_embedded::{MessageRow, Opening, Table, Tables, Visited, Write};
use slipstream_store::Result;

use crate::{fault, label};

/// The row of LMDB's table of tables by which a store is told from other programs' files; its value is the version.
pub(crate) const MARK: &[u8] = b"slipstream";

/// The version of the tables.
pub(crate) const SCHEMA_VERSION: u32 = 2;

/// The version of the tables that has messages in rows of their own.
pub(crate) const UNPACKED: u32 = 1;

/// One of LMDB's tables.
pub(crate) type Database<'e> = heed::Database<'e, Bytes, Bytes>;

/// The tables of an open environment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Databases {
    /// In version 1, sequence, big-endian in 8 bytes: the message.
    pub(crate) unpacked: Option<Database<'static>>,
    /// In the order of [`Table::ALL`].
    pub(crate) rows: [Database<'static>; Table::ALL.len()],
    /// LMDB's table of tables, which has the marks of the store too.
    pub(crate) marks: Database<'static>,
}

impl Databases {
    /// Applies the writes in order.
    pub(crate) fn write(&self, transaction: &mut RwTxn<'_>, writes: &[Write<'_>]) -> Result<()> {
        for write in writes {
            let done = match write {
                Write::Put { table, key, value } => self.of(*table).put(transaction, key, value),
                Write::Remove { table, key } => self.of(*table).delete(transaction, key).map(drop),
                Write::RemoveUnpacked { last } => self.remove_unpacked(transaction, *last),
            };
            done.map_err(|error| fault::writing(&error))?;
        }
        Ok(())
    }

    /// Removes the messages of version 1 up to this one. If none is left, it is version 2.
    fn remove_unpacked(&self, transaction: &mut RwTxn<'_>, last: u64) -> heed::Result<()> {
        let Some(unpacked) = self.unpacked else { return Ok(()) };
        let last = last.to_be_bytes();
        unpacked.delete_range(transaction, &(Bound::Unbounded, Bound::Included(&last[..])))?;
        if unpacked.is_empty(transaction)? {
            self.marks.put(transaction, MARK, &SCHEMA_VERSION.to_be_bytes())?;
        }
        Ok(())
    }

    /// Puts the label into the table of tables, and syncs it.
    pub(crate) fn set_label(&self, environment: &heed::Env<WithoutTls>, opening: Opening) -> heed::Result<()> {
        let mut transaction = environment.write_txn()?;
        self.marks.put(&mut transaction, label::OPENING, &opening.code().to_be_bytes())?;
        transaction.commit()?;
        environment.force_sync()
    }

    pub(crate) fn of(&self, table: Table) -> Database<'static> {
        self.rows[table as usize]
    }
}

/// The tables as of one commit.
pub(crate) struct View<'v> {
    pub(crate) databases: &'v Databases,
    pub(crate) transaction: &'v RoTxn<'v>,
}

impl Tables for View<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let value = self.databases.of(table).get(self.transaction, key);
        value.map(|value| value.map(<[u8]>::to_vec)).map_err(|error| fault::reading(&error))
    }

    fn scan(
        &self,
        table: Table,
        first: &[u8],
        last: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visited,
    ) -> Result<()> {
        self.each(self.databases.of(table), first, last, visit)
    }
}

impl View<'_> {
    /// Whether this is version 1; if so, shows the messages that have rows of their own, until `visit` has enough.
    pub(crate) fn unpacked(&self, visit: &mut dyn FnMut(&MessageRow<'_>) -> Visited) -> Result<bool> {
        let version = self.databases.marks.get(self.transaction, MARK).map_err(|error| fault::reading(&error))?;
        match self.databases.unpacked {
            Some(rows) if version == Some(&UNPACKED.to_be_bytes()) => {
                self.each(rows, &[], &[0xFF; 8], &mut |_, value| visit(&MessageRow::decode(value)?))?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Has `read` read the tables as of the last commit.
    pub(crate) fn of<T>(
        environment: &heed::Env<WithoutTls>,
        databases: &Databases,
        read: impl FnOnce(&View<'_>) -> Result<T>,
    ) -> Result<T> {
        let transaction = environment.read_txn().map_err(|error| fault::reading(&error))?;
        read(&View { databases, transaction: &transaction })
    }

    fn each(
        &self,
        database: Database<'_>,
        first: &[u8],
        last: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visited,
    ) -> Result<()> {
        // LMDB has no empty keys, and does not look for one.
        let first = if first.is_empty() { Bound::Unbounded } else { Bound::Included(first) };
        let range = (first, Bound::Included(last));
        let rows = database.range(self.transaction, &range).map_err(|error| fault::reading(&error))?;
        for row in rows {
            let (key, value) = row.map_err(|error| fault::reading(&error))?;
            if visit(key, value)? == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}
