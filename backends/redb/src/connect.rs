//! Making a store, and looking at one before redb may change it.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{Error, WriteTransaction};
use slipstream_embedded::{Table, system};
use slipstream_store::{Result, StoreError};

use crate::engine::RedbEngine;
use crate::fault::{self, caught};
use crate::handle::Handle;
use crate::medium::{self, Medium};
use crate::tables::{self, FORMAT, MESSAGES, VERSION};

/// The version of the tables.
const TABLES: u64 = 1;

/// With what a file of redb begins.
const MAGIC: &[u8] = b"redb\x1A\x0A\xA9\x0D\x0A";

/// Stores up to this size are looked over whole at opening, in bytes.
const CHECKED_WHOLE: u64 = 64 << 20;

/// With less room than this an empty store is not made, in bytes.
const LEAST_ROOM: u64 = 2 << 20;

/// What redb keeps of the file in memory, half of it at most for a commit, in bytes.
const CACHE: usize = 8 << 20;

/// Makes an empty store at `file`, where nothing is. A crash leaves all of it or nothing.
pub(crate) fn make(file: &Path) -> Result<()> {
    fill(file, |_| Ok(()))
}

/// Makes a store at `file` with what `fill` puts in. It gets its name when it is whole and synced.
pub(crate) fn fill(file: &Path, fill: impl FnOnce(&WriteTransaction) -> Result<(), Error>) -> Result<()> {
    let unfinished = beside(file);
    let made = write_file(&unfinished, fill).and_then(|()| renamed(&unfinished, file));
    made.map_err(|error| {
        drop(fs::remove_file(&unfinished));
        match about(file, error) {
            // redb says of any error that it goes no further; what was begun is gone.
            StoreError::Poisoned(text) if medium::free(file.parent().unwrap_or(file)) < LEAST_ROOM => {
                StoreError::Full(format!("making {}: {text}; make room there", file.display()))
            }
            other => other,
        }
    })
}

fn write_file(file: &Path, fill: impl FnOnce(&WriteTransaction) -> Result<(), Error>) -> Result<()> {
    // What a crash has left there is written over.
    let opened = File::options().read(true).write(true).create(true).truncate(true).open(file);
    let opened = opened.map_err(|error| system::fault("making", file, &error))?;
    let medium = FileBackend::new(opened).map_err(Error::from);
    let database = medium.and_then(|medium| Handle::open(medium, CACHE, false));
    let database = database.map_err(|error| about(file, fault::opening(error)))?;
    let written = database.write(|transaction| {
        transaction.open_table(FORMAT)?.insert(VERSION, TABLES)?;
        transaction.open_table(MESSAGES)?;
        for table in Table::ALL {
            transaction.open_table(tables::of(table))?;
        }
        fill(transaction)
    });
    written.map_err(fault::opening)?;
    database.close()
}

fn renamed(unfinished: &Path, file: &Path) -> Result<()> {
    let synced = File::open(unfinished).and_then(|file| file.sync_all());
    synced.and_then(|()| fs::rename(unfinished, file)).map_err(|error| about(file, fault::opening(error.into())))
}

/// Where a file is while it is made.
fn beside(file: &Path) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(".new");
    PathBuf::from(path)
}

/// Opens the store in the file, and writes nothing to it.
pub(crate) fn open(file: &Path) -> Result<RedbEngine> {
    let length = inspect(file)?;
    let medium = Medium::held_back(file).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => StoreError::InUse(file.to_owned()),
        _ => system::fault("opening", file, &error),
    })?;
    let whole = length <= CHECKED_WHOLE;
    let database = Handle::open(medium.clone(), CACHE, whole).map_err(|error| about(file, fault::opening(error)))?;
    let version = caught(|| version(&database)).map_err(|error| about(file, fault::opening(error)))?;
    match version {
        Some(TABLES) => Ok(RedbEngine::new(database, medium, file.to_owned())),
        Some(other) => {
            let expected = format!("expected version {TABLES} of the tables, got {other}");
            Err(about(file, StoreError::Unsupported(expected)))
        }
        None => Err(about(file, StoreError::Unsupported("a redb file of another program".to_owned()))),
    }
}

/// The length of a file that looks like redb's.
fn inspect(file: &Path) -> Result<u64> {
    let fault = |error: std::io::Error| system::fault("reading", file, &error);
    let mut opened = File::open(file).map_err(fault)?;
    let length = opened.metadata().map_err(fault)?.len();
    let mut start = [0; MAGIC.len()];
    if opened.read_exact(&mut start).is_err() || start != MAGIC {
        let found = format!("expected a redb file, got {length} bytes of something else");
        return Err(about(file, StoreError::Corrupted(found)));
    }
    Ok(length)
}

/// The version of the tables; nothing where they are another program's.
fn version(database: &Handle) -> Result<Option<u64>, Error> {
    match database.read()?.open_table(FORMAT) {
        Ok(table) => Ok(table.get(VERSION)?.map(|version| version.value())),
        Err(redb::TableError::Storage(error)) => Err(error.into()),
        Err(_) => Ok(None),
    }
}

/// Names the file in what a person reads.
fn about(file: &Path, error: StoreError) -> StoreError {
    let path = file.display().to_string();
    let named = |text: String| if text.contains(&path) { text } else { format!("{path}: {text}") };
    match error {
        StoreError::Corrupted(text) => StoreError::Corrupted(named(text)),
        StoreError::Unsupported(text) => StoreError::Unsupported(named(text)),
        StoreError::Busy(text) => StoreError::Busy(named(text)),
        StoreError::Full(text) => StoreError::Full(named(text)),
        StoreError::Inaccessible(text) => StoreError::Inaccessible(named(text)),
        other => other,
    }
}
