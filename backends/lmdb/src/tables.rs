//! Reading and writing the tables within a transaction.

use std::ops::{Bound, ControlFlow};

use heed::types::Bytes;
use heed::{PutFlags, RoTxn, RwTxn, WithoutTls};
use slipstream_embedded::{MessageRow, Opening, Table, Tables, Visited, Write};
use slipstream_store::Result;

use crate::{fault, label};

/// One of LMDB's tables.
pub(crate) type Database<'e> = heed::Database<'e, Bytes, Bytes>;

/// The tables of an open environment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Databases {
    /// Sequence, big-endian in 8 bytes: the message.
    pub(crate) messages: Database<'static>,
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
                Write::Message(row) => {
                    // Appended, pages become full; otherwise each that is split stays half empty.
                    let (key, value) = (row.sequence.to_be_bytes(), row.encode()?);
                    self.messages.put_with_flags(transaction, PutFlags::APPEND, &key, &value)
                }
                Write::RemoveMessages { first, last } => {
                    let (first, last) = (first.to_be_bytes(), last.to_be_bytes());
                    let range = (Bound::Included(&first[..]), Bound::Included(&last[..]));
                    self.messages.delete_range(transaction, &range).map(drop)
                }
                Write::Put { table, key, value } => self.of(*table).put(transaction, key, value),
                Write::Remove { table, key } => self.of(*table).delete(transaction, key).map(drop),
            };
            done.map_err(|error| fault::writing(&error))?;
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

    fn messages(&self, first: u64, last: u64, visit: &mut dyn FnMut(&MessageRow<'_>) -> Visited) -> Result<()> {
        self.each(self.databases.messages, &first.to_be_bytes(), &last.to_be_bytes(), &mut |_, value| {
            visit(&MessageRow::decode(value)?)
        })
    }
}

impl View<'_> {
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
