//! Reading the tables through a connection.

use std::ops::ControlFlow;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, ToSql};
use slipstream_embedded::{KeyKind, MessageRow, Table, Tables, Visited};
use slipstream_store::{Result, StoreError};

use crate::{fault, sql};

/// How many prepared statements a connection keeps; there are fewer.
pub(crate) const STATEMENTS: usize = 64;

/// The tables behind a connection.
pub(crate) struct Columns<'c>(pub(crate) &'c Connection);

/// A key as its column has it.
pub(crate) enum Key<'k> {
    Number(i64),
    Text(&'k str),
    Bytes(&'k [u8]),
}

impl<'k> Key<'k> {
    /// The column value for a key or for a bound of a range. Bounds need not be keys: a number is cut or filled up
    /// to 8 bytes, and bytes that are no text lie behind every text.
    pub(crate) fn new(table: Table, key: &'k [u8]) -> Self {
        match table.keys() {
            KeyKind::Number => {
                let mut bytes = [0; 8];
                bytes.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
                Self::Number(i64::try_from(u64::from_be_bytes(bytes)).unwrap_or(i64::MAX))
            }
            KeyKind::Text => std::str::from_utf8(key).map_or(Self::Bytes(key), Self::Text),
            KeyKind::Bytes => Self::Bytes(key),
        }
    }
}

impl ToSql for Key<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Number(number) => ToSqlOutput::from(*number),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

/// A value that is bound without being copied.
pub(crate) struct Value<'v>(pub(crate) ValueRef<'v>);

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(self.0))
    }
}

impl<'c> Columns<'c> {
    /// A statement that reads a table; nothing if an earlier version made the store, which did not have the table.
    fn statement(&self, table: Table, sql: &'static str) -> Result<Option<CachedStatement<'c>>> {
        match self.0.prepare_cached(sql) {
            Err(error) if table.may_be_missing() => {
                let is_there = self.0.query_row(sql::IS_TABLE, [table.name()], |_| Ok(())).optional();
                match is_there.map_err(|error| fault::reading(&error))? {
                    Some(()) => Err(fault::reading(&error)),
                    None => Ok(None),
                }
            }
            prepared => prepared.map(Some).map_err(|error| fault::reading(&error)),
        }
    }
}

impl Columns<'_> {
    /// Whether this is version 1; if so, shows the messages that have rows of their own, until `visit` has enough.
    pub(crate) fn unpacked(&self, visit: &mut dyn FnMut(&MessageRow<'_>) -> Visited) -> Result<bool> {
        let is_there = self.0.query_row(sql::IS_TABLE, ["messages"], |_| Ok(())).optional();
        if is_there.map_err(|error| fault::reading(&error))?.is_none() {
            return Ok(false);
        }
        let mut statement = self.0.prepare_cached(sql::UNPACKED).map_err(|error| fault::reading(&error))?;
        let mut rows = statement.query([]).map_err(|error| fault::reading(&error))?;
        while let Some(row) = rows.next().map_err(|error| fault::reading(&error))? {
            if visit(&message(row)?)? == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(true)
    }
}

impl Tables for Columns<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some(mut statement) = self.statement(table, sql::of(table).get)? else { return Ok(None) };
        let value = statement.query_row([Key::new(table, key)], |row| row.get(0)).optional();
        value.map_err(|error| fault::reading(&error))
    }

    fn scan(
        &self,
        table: Table,
        first: &[u8],
        last: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visited,
    ) -> Result<()> {
        let Some(mut statement) = self.statement(table, sql::of(table).scan)? else { return Ok(()) };
        let bounds = [Key::new(table, first), Key::new(table, last)];
        let mut rows = statement.query(bounds).map_err(|error| fault::reading(&error))?;
        while let Some(row) = rows.next().map_err(|error| fault::reading(&error))? {
            let number;
            let key = match column(row, 0)? {
                ValueRef::Integer(value) => {
                    number = value.to_be_bytes();
                    &number[..]
                }
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes,
                other => return Err(wrong_type("key", other)),
            };
            let value = match column(row, 1)? {
                ValueRef::Blob(bytes) => bytes,
                other => return Err(wrong_type("value", other)),
            };
            if visit(key, value)? == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}

fn message<'r>(row: &'r Row<'_>) -> Result<MessageRow<'r>> {
    let key = match column(row, 4)? {
        ValueRef::Null => None,
        _ => Some(text(row, 4)?),
    };
    let expires_at = match column(row, 5)? {
        ValueRef::Null => None,
        _ => Some(number(row, 5)?),
    };
    Ok(MessageRow {
        sequence: number(row, 0)?,
        group: text(row, 1)?,
        id: text(row, 2)?,
        message_type: text(row, 3)?,
        key,
        expires_at,
        received_at: number(row, 6)?,
        received_from: text(row, 7)?,
        path: text(row, 8)?,
        text: bytes(row, 9)?,
    })
}

fn column<'r>(row: &'r Row<'_>, index: usize) -> Result<ValueRef<'r>> {
    row.get_ref(index).map_err(|error| fault::reading(&error))
}

fn number(row: &Row<'_>, index: usize) -> Result<u64> {
    match column(row, index)? {
        ValueRef::Integer(value) => u64::try_from(value)
            .map_err(|_| StoreError::Corrupted(format!("column {index} of messages is {value}: expected no sign"))),
        other => Err(wrong_type("a column of messages", other)),
    }
}

fn bytes<'r>(row: &'r Row<'_>, index: usize) -> Result<&'r [u8]> {
    match column(row, index)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Ok(bytes),
        other => Err(wrong_type("a column of messages", other)),
    }
}

fn text<'r>(row: &'r Row<'_>, index: usize) -> Result<&'r str> {
    std::str::from_utf8(bytes(row, index)?)
        .map_err(|_| StoreError::Corrupted(format!("column {index} of messages is not UTF-8")))
}

fn wrong_type(what: &str, value: ValueRef<'_>) -> StoreError {
    StoreError::Corrupted(format!("{what} has the type {}", value.data_type()))
}
