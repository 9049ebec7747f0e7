//! Opening connections, and looking at a file before SQLite may change it.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use slipstream_embedded::{beside, copies_on_write, system};
use slipstream_store::{Durability, Result, StoreError};

use crate::tables::STATEMENTS;
use crate::{fault, label, sql};

/// `SLIP`: what the file says of itself, so that no other program's file is taken for a store.
const APPLICATION_ID: u32 = 0x534C_4950;

/// The version of the tables.
const SCHEMA_VERSION: u32 = 2;

/// The version of the tables that has messages in rows of their own.
const UNPACKED: u32 = 1;

/// Stores up to this size are looked over whole at opening, in bytes.
const CHECKED_WHOLE: u64 = 64 << 20;

const HEADER: usize = 100;

/// The size of a page of a store, in bytes.
const PAGE: u64 = 4096;

/// Whether there is a store in the file. It only reads, and not through SQLite, which may write when it opens.
///
/// # Errors
/// `Corrupted` if the file is not SQLite's or is cut short, `Unsupported` if it is another program's or of
/// another version.
pub(crate) fn inspect(file: &Path) -> Result<bool> {
    let fault = |error: std::io::Error| system::fault("reading", file, &error);
    let damaged = |what: String| Err(StoreError::Corrupted(format!("{}: {what}", file.display())));
    let mut opened = match File::open(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        opened => opened.map_err(fault)?,
    };
    let metadata = opened.metadata().map_err(fault)?;
    if metadata.is_dir() {
        let text = "expected an SQLite file, got a folder: name another path";
        return Err(StoreError::Unsupported(format!("{}: {text}", file.display())));
    }
    let length = metadata.len();
    let [log, journal] = ["-wal", "-journal"].map(|suffix| fs::metadata(beside(file, suffix)).map_or(0, |at| at.len()));
    if length == 0 && log == 0 {
        return Ok(false);
    }
    if journal > 0 && length <= PAGE {
        // A power cut came while its first page was written: SQLite takes that back.
        return Ok(true);
    }
    let mut header = [0; HEADER];
    if opened.read_exact(&mut header).is_err() || !header.starts_with(b"SQLite format 3\0") {
        return damaged(format!("expected an SQLite file, got {length} bytes of something else"));
    }
    if log > 0 {
        // The log has the newer truth; SQLite reads both together.
        return Ok(true);
    }
    let number = |at: usize| header[at..].first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    // 65,536 does not fit the two bytes and is written as 1.
    let page_size = match u64::from(u16::from_be_bytes([header[16], header[17]])) {
        1 => 65_536,
        size => size,
    };
    let expected = u64::from(number(28)) * page_size;
    if length < expected {
        return damaged(format!("expected {expected} bytes, got {length}: the file is cut short"));
    }
    // A power cut may have come before the tables were made.
    let is_empty = length <= PAGE && (number(68), number(60)) == (0, 0);
    if !is_empty {
        known_version(file, number(68), number(60))?;
    }
    Ok(true)
}

fn known_version(file: &Path, application: u32, version: u32) -> Result<()> {
    let file = file.display();
    if application != APPLICATION_ID {
        return Err(StoreError::Unsupported(format!("{file} is an SQLite file of another program")));
    }
    if ![SCHEMA_VERSION, UNPACKED].contains(&version) {
        let expected = format!("expected version {SCHEMA_VERSION} of the tables");
        return Err(StoreError::Unsupported(format!("{file}: {expected}, got {version}")));
    }
    Ok(())
}

/// Makes an empty file that only its user may read, if none is. What SQLite keeps beside it gets the same mode.
pub(crate) fn make_file(file: &Path) -> Result<()> {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.write(true).create_new(true).open(file) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(system::fault("making", file, &error)),
        _ => Ok(()),
    }
}

/// The connection that writes, to a store that is there or is made now.
pub(crate) fn writer(file: &Path, durability: Durability) -> Result<Connection> {
    let is_there = inspect(file)?;
    make_file(file)?;
    let vfs = match durability {
        // Each commit is synced, from the first one on: `FULL` is what a connection begins with.
        Durability::Full => slipstream_gather::over(vfs(file)).map_err(|error| refused(file, &error))?,
        Durability::Relaxed => vfs(file),
    };
    let connection = open(file, OpenFlags::SQLITE_OPEN_READ_WRITE, vfs)?;
    // A store that is refused, or whose writer panicked, is left as it is; an orderly close allows it again.
    let keep_log = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    let fault = |error: rusqlite::Error| refused(file, &error);
    keep_log.map_err(fault)?;
    let prepared = if is_there { verify(&connection, file) } else { Ok(false) };
    if !prepared? {
        create(&connection).map_err(fault)?;
    }
    tune(&connection, durability).map_err(fault)?;
    Ok(connection)
}

/// Why SQLite could not open the file, or write to it. It does not say what the system said: so that is asked for.
pub(crate) fn refused(file: &Path, error: &rusqlite::Error) -> StoreError {
    let code = error.sqlite_error_code();
    let is_the_systems = matches!(
        code,
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::SystemIoFailure)
    );
    if let (true, Err(why)) = (is_the_systems, try_to_write(file)) {
        return system::fault("writing to", file, &why);
    }
    let named = |text: String| format!("{}: {text}", file.display());
    match fault::reading(error) {
        StoreError::Busy(text) => StoreError::Busy(named(text)),
        StoreError::Full(text) => StoreError::Full(named(text)),
        StoreError::Corrupted(text) => StoreError::Corrupted(named(text)),
        other => other,
    }
}

/// Opens the file for writing, and makes one beside it that is as large as those that SQLite makes.
fn try_to_write(file: &Path) -> std::io::Result<()> {
    const ROOM: usize = 64 << 10;
    File::options().read(true).write(true).open(file)?;
    let beside = beside(file, "-probe");
    let written = fs::write(&beside, vec![0; ROOM]);
    let removed = fs::remove_file(&beside);
    // What could not be made cannot be removed either, and is not why.
    written.and(removed)
}

/// A connection that reads.
pub(crate) fn reader(file: &Path) -> Result<Connection> {
    let connection = open(file, OpenFlags::SQLITE_OPEN_READ_ONLY, vfs(file))?;
    let tuned = connection.execute_batch("PRAGMA cache_size = -2048;");
    tuned.map_err(|error| refused(file, &error))?;
    Ok(connection)
}

/// The VFS of SQLite that is right for the file.
fn vfs(file: &Path) -> &'static CStr {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if copies_on_write(folder) {
        // The index of the log is kept in memory then, and not in a file that is mapped: if there is no room, writing
        // into that kills the process. No other program can open the store meanwhile.
        c"unix-excl"
    } else {
        c"unix"
    }
}

fn open(file: &Path, flags: OpenFlags, vfs: &CStr) -> Result<Connection> {
    let connection = Connection::open_with_flags_and_vfs(file, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX, vfs);
    let connection = connection.map_err(|error| refused(file, &error))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// Looks over a store that is there; whether its tables were made. (A crash may have come between.)
fn verify(connection: &Connection, file: &Path) -> Result<bool> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, u32>(0));
    let found = pragma("application_id").and_then(|id| Ok((id, pragma("user_version")?)));
    let (application, version) = found.map_err(|error| refused(file, &error))?;
    let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, u32>(0));
    if (application, version, tables.map_err(|error| refused(file, &error))?) == (0, 0, 0) {
        return Ok(false);
    }
    known_version(file, application, version)?;
    if fs::metadata(file).map_or(0, |file| file.len()) <= CHECKED_WHOLE {
        let found = findings(connection, "PRAGMA quick_check(1)").map_err(|error| refused(file, &error))?;
        if let Some(finding) = found.first() {
            return Err(StoreError::Corrupted(format!("{}: {finding}", file.display())));
        }
    }
    Ok(true)
}

/// What a check of SQLite found wrong.
pub(crate) fn findings(connection: &Connection, pragma: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(pragma)?;
    let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
    lines.filter(|line| line.as_ref().map_or(true, |line| line != "ok")).collect()
}

fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection
        .execute_batch("PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;")?;
    connection.execute_batch(&format!(
        "PRAGMA synchronous = FULL; BEGIN IMMEDIATE; {} {} {} PRAGMA application_id = {APPLICATION_ID}; \
         PRAGMA user_version = {SCHEMA_VERSION}; COMMIT; PRAGMA wal_checkpoint(TRUNCATE);",
        sql::SCHEMA,
        sql::LATER_TABLES,
        label::TABLE
    ))
}

/// What makes version 2 of version 1 once it has no messages in rows of their own.
pub(crate) fn end_of_version_1() -> String {
    format!("{} PRAGMA user_version = {SCHEMA_VERSION};", sql::DROP_UNPACKED)
}

fn tune(connection: &Connection, durability: Durability) -> rusqlite::Result<()> {
    let synchronous = match durability {
        // The log is synced at every commit.
        Durability::Full => "FULL",
        // The log is synced before it is moved into the file: a power cut may take the last commits, no more.
        Durability::Relaxed => "NORMAL",
    };
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}; PRAGMA wal_autocheckpoint = 2000; \
         PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -4096; PRAGMA mmap_size = 0; \
         PRAGMA temp_store = MEMORY;"
    ))
}
