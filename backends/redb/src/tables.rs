//! The tables in redb, and reading them as of one commit.

use std::ops::ControlFlow;

use redb::{Error, ReadOnlyTable, ReadTransaction, TableDefinition, TableError};
use slipstream_embedded::{MessageRow, Table, Tables, Visited};
use slipstream_store::Result;

use crate::fault::{self, caught};

/// A table whose keys and values are bytes.
pub(crate) type Rows = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// Such a table, to read.
type OpenedRows = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// The messages of version 1, by sequence.
pub(crate) const MESSAGES: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("messages");

/// What the file says of itself, so that no other program's file is taken for a store.
pub(crate) const FORMAT: TableDefinition<'static, &'static str, u64> = TableDefinition::new("slipstream");

/// The row of [`FORMAT`] with the version of the tables.
pub(crate) const VERSION: &str = "version";

/// The version of the tables.
pub(crate) const TABLES: u64 = 2;

/// The version of the tables that has messages in rows of their own.
pub(crate) const UNPACKED: u64 = 1;

/// The row of [`FORMAT`] with the label of the opening that wrote last.
pub(crate) const OPENING: &str = "opening";

/// This table in redb.
pub(crate) const fn of(table: Table) -> Rows {
    TableDefinition::new(table.name())
}

/// A table as of one commit; nothing if an earlier version made the store, which did not have it.
pub(crate) fn opened(view: &ReadTransaction, table: Table) -> Result<Option<OpenedRows>, Error> {
    match view.open_table(of(table)) {
        Err(TableError::TableDoesNotExist(_)) if table.may_be_missing() => Ok(None),
        opened => Ok(Some(opened?)),
    }
}

/// The tables as of one commit. As long as it lives no page of it is used again: keep it short.
pub(crate) struct View(pub(crate) ReadTransaction);

impl View {
    fn found(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let Some(table) = opened(&self.0, table)? else { return Ok(None) };
        Ok(table.get(key)?.map(|value| value.value().to_vec()))
    }

    /// Whether this is version 1; if so, shows the messages that have rows of their own, until `visit` has enough.
    pub(crate) fn unpacked(&self, visit: &mut dyn FnMut(&MessageRow<'_>) -> Visited) -> Result<bool> {
        let rows = caught(|| match self.0.open_table(MESSAGES) {
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            opened => Ok(Some(opened?.range::<u64>(..)?)),
        });
        let Some(mut rows) = rows.map_err(fault::reading)? else { return Ok(false) };
        while let Some((_, row)) = caught(|| Ok(rows.next().transpose()?)).map_err(fault::reading)? {
            let row = caught(|| Ok(row.value())).map_err(fault::reading)?;
            if visit(&MessageRow::decode(row)?)? == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(true)
    }
}

impl Tables for View {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        caught(|| self.found(table, key)).map_err(fault::reading)
    }

    fn scan(
        &self,
        table: Table,
        first: &[u8],
        last: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visited,
    ) -> Result<()> {
        let rows = caught(|| match opened(&self.0, table)? {
            Some(table) => Ok(Some(table.range::<&[u8]>(first..=last)?)),
            None => Ok(None),
        });
        let Some(mut rows) = rows.map_err(fault::reading)? else { return Ok(()) };
        while let Some((key, value)) = caught(|| Ok(rows.next().transpose()?)).map_err(fault::reading)? {
            let (key, value) = caught(|| Ok((key.value(), value.value()))).map_err(fault::reading)?;
            if visit(key, value)? == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}
