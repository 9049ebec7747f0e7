//! Databases of the tests, and the system calls below them.
#![allow(dead_code, reason = "each test program uses its part")]
#![expect(clippy::unwrap_used, reason = "a test says what it finds by panicking")]

pub(crate) mod disk;

use std::ffi::CStr;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use slipstream_gather::over;

/// What the VFS can be put over.
pub(crate) const BASES: [&CStr; 2] = [c"unix", c"unix-excl"];

/// A connection as the store's writer has it, on a database that is made if there is none.
pub(crate) fn gathering(file: &Path, base: &CStr) -> Connection {
    open(file, over(base).unwrap())
}

/// The same, on SQLite's own VFS.
pub(crate) fn plain(file: &Path, base: &CStr) -> Connection {
    open(file, base)
}

fn open(file: &Path, vfs: &CStr) -> Connection {
    let connection = Connection::open_with_flags_and_vfs(file, OpenFlags::default(), vfs).unwrap();
    let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;
        CREATE TABLE IF NOT EXISTS rows (number INTEGER PRIMARY KEY, round INTEGER NOT NULL, text TEXT NOT NULL);";
    connection.execute_batch(settings).unwrap();
    connection
}

/// A text that fills most of a page.
pub(crate) fn page(round: i64) -> String {
    format!("{round:08}").repeat(400)
}

/// Puts rows of a page each, with the numbers from `first` on.
pub(crate) fn put(connection: &Connection, first: i64, count: i64, round: i64) -> rusqlite::Result<()> {
    let mut put = connection.prepare("INSERT OR REPLACE INTO rows VALUES (?1, ?2, ?3)")?;
    (first..first + count).try_for_each(|number| put.execute((number, round, page(round))).map(drop))
}

/// The same in one transaction.
pub(crate) fn commit(connection: &Connection, first: i64, count: i64, round: i64) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    put(&transaction, first, count, round)?;
    transaction.commit()
}

/// How many rows there are of each round, after a check that each row is whole.
pub(crate) fn rounds(connection: &Connection) -> Vec<(i64, i64)> {
    let torn = connection.query_row(
        "SELECT count(*) FROM rows WHERE text <> replace(hex(zeroblob(200)), '00', printf('%08d%08d', round, round))",
        [],
        |row| row.get::<_, i64>(0),
    );
    assert_eq!(torn.unwrap(), 0, "rows that are torn");
    let mut rounds = connection.prepare("SELECT round, count(*) FROM rows GROUP BY round ORDER BY round").unwrap();
    let rounds = rounds.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rounds.map(Result::unwrap).collect()
}

/// Checks the whole database.
pub(crate) fn check(connection: &Connection) {
    let found: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(found, "ok");
}
