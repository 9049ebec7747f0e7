//! Opening a store: looking at one before redb may change it.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use redb::Error;
use slipstream_embedded::system;
use slipstream_store::{Result, StoreError};

use crate::fault::{self, about, caught};
use crate::handle::{CACHE, Handle};
use crate::medium::Medium;
use crate::tables::{FORMAT, TABLES, UNPACKED, VERSION};

/// With what a file of redb begins.
const MAGIC: &[u8] = b"redb\x1A\x0A\xA9\x0D\x0A";

/// Stores up to this size are looked over whole at opening, in bytes.
const CHECKED_WHOLE: u64 = 64 << 20;

/// Opens the store in the file, and writes nothing to it.
pub(crate) fn open(file: &Path) -> Result<(Handle, Medium)> {
    let length = inspect(file)?;
    let medium = Medium::held_back(file).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => StoreError::InUse(file.to_owned()),
        _ => system::fault("opening", file, &error),
    })?;
    let whole = length <= CHECKED_WHOLE;
    let database = Handle::open(medium.clone(), CACHE, whole).map_err(|error| about(file, fault::opening(error)))?;
    let version = caught(|| version(&database)).map_err(|error| about(file, fault::opening(error)))?;
    match version {
        Some(TABLES | UNPACKED) => Ok((database, medium)),
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

/// The version of the tables; nothing if they are another program's.
fn version(database: &Handle) -> Result<Option<u64>, Error> {
    match database.read()?.open_table(FORMAT) {
        Ok(table) => Ok(table.get(VERSION)?.map(|version| version.value())),
        Err(redb::TableError::Storage(error)) => Err(error.into()),
        Err(_) => Ok(None),
    }
}
