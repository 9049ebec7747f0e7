//! The label: which opening the data belong to. It has a table of its own, which is written when the store is opened and
//! closed, and at no other time: so its page can be read whatever a crash has left of others.

use std::fmt::Write as _;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _};
use slipstream_embedded::{Label, Opening};
use slipstream_store::{Result, StoreError};

use crate::fault;
use crate::sql::LATER_TABLES;

/// The table, of one row.
pub(crate) const TABLE: &str =
    "CREATE TABLE IF NOT EXISTS opening (key INTEGER PRIMARY KEY, value INTEGER NOT NULL) STRICT;";

const IS_THERE: &str = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'opening'";

/// The label in the file itself, whatever a log beside it has. Nothing is written, and no log is looked at.
pub(crate) fn in_file(file: &Path) -> Label {
    if std::fs::metadata(file).map_or(0, |file| file.len()) == 0 {
        return Label::Missing;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let Some(address) = address(file) else { return Label::Unreadable };
    let connection = Connection::open_with_flags(address, flags);
    connection.and_then(|connection| seen_by(&connection)).unwrap_or(Label::Unreadable)
}

/// The file as an address that tells SQLite to take it as it is.
fn address(file: &Path) -> Option<String> {
    let path = std::path::absolute(file).ok()?;
    let mut address = "file://".to_owned();
    for byte in path.to_str()?.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            address.push(char::from(byte));
        } else {
            write!(address, "%{byte:02X}").ok()?;
        }
    }
    Some(address + "?immutable=1")
}

/// The label that a connection sees.
pub(crate) fn seen_by(connection: &Connection) -> rusqlite::Result<Label> {
    if connection.query_row(IS_THERE, [], |_| Ok(())).optional()?.is_none() {
        return Ok(Label::Missing);
    }
    let code = connection.query_row("SELECT value FROM opening", [], |row| row.get::<_, i64>(0)).optional()?;
    Ok(code.map_or(Label::Missing, |code| match u64::try_from(code) {
        Ok(code) => Label::Of(Opening::from_code(code)),
        Err(_) => Label::Unreadable,
    }))
}

/// Puts it into the file, and makes the tables that are missing if an older version has made the store.
pub(crate) fn put(connection: &Connection, opening: Opening) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE; {TABLE} {LATER_TABLES} INSERT OR REPLACE INTO opening (key, value) VALUES (1, {}); COMMIT;",
        opening.code()
    ))
}

/// Moves the log into the file.
///
/// # Errors
/// `Busy` if somebody reads what was there before; otherwise as a write.
pub(crate) fn move_log(connection: &Connection) -> Result<()> {
    let moved = connection.query_row("PRAGMA wal_checkpoint(FULL)", [], |row| row.get::<_, i64>(0));
    match moved.map_err(|error| fault::writing(&error, true))? {
        0 => Ok(()),
        _ => Err(StoreError::Busy("another program reads from the store; it must end its transaction".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_of_the_file_is_read_whatever_its_name_and_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a b?c#d%41.db");
        assert_eq!(in_file(&file), Label::Missing);
        let connection = Connection::open(&file).unwrap();
        connection.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE other (a); PRAGMA wal_checkpoint;").unwrap();
        assert_eq!(in_file(&file), Label::Missing);
        let (first, second) = (Opening::begin(), Opening::begin());
        put(&connection, first).unwrap();
        move_log(&connection).unwrap();
        put(&connection, second).unwrap();
        assert_eq!((in_file(&file), seen_by(&connection)), (Label::Of(first), Ok(Label::Of(second))));
        move_log(&connection).unwrap();
        assert_eq!(in_file(&file), Label::Of(second));
        std::fs::write(&file, "no store").unwrap();
        assert_eq!(in_file(&file), Label::Unreadable);
    }
}
