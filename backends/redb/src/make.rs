//! Making a store, empty or with what a backup puts in.

use std::fs::File;
use std::path::Path;

use redb::backends::FileBackend;
use redb::{Error, WriteTransaction};
use slipstream_embedded::{Staging, Table, system};
use slipstream_store::{Result, StoreError};

use crate::fault::{self, about};
use crate::handle::{CACHE, Handle};
use crate::medium;
use crate::tables::{self, FORMAT, TABLES, VERSION};

/// What follows the name of a store's file while it is made.
const NEW: &str = ".new";

/// With less room than this an empty store is not made, in bytes.
const LEAST_ROOM: u64 = 2 << 20;

/// Makes an empty store at `file`, where nothing is. A crash leaves all of it or nothing.
pub(crate) fn empty(file: &Path) -> Result<()> {
    filled(file, |_| Ok(()))
}

/// Makes a store at `file` with what `fill` puts in. It gets its name when it is whole and synced.
pub(crate) fn filled(file: &Path, fill: impl FnOnce(&WriteTransaction) -> Result<(), Error>) -> Result<()> {
    let made = Staging::beside(file, NEW).make(file, |aside| write_file(aside, fill));
    made.map_err(|error| match about(file, error) {
        // redb says of any error that it goes no further; what was begun is gone.
        StoreError::Poisoned(text) if medium::free(file.parent().unwrap_or(file)) < LEAST_ROOM => {
            StoreError::Full(format!("making {}: {text}; make room there", file.display()))
        }
        other => other,
    })
}

fn write_file(file: &Path, fill: impl FnOnce(&WriteTransaction) -> Result<(), Error>) -> Result<()> {
    let opened = File::options().read(true).write(true).create_new(true).open(file);
    let opened = opened.map_err(|error| system::fault("making", file, &error))?;
    let medium = FileBackend::new(opened).map_err(Error::from);
    let database = medium.and_then(|medium| Handle::open(medium, CACHE, false));
    let database = database.map_err(|error| about(file, fault::opening(error)))?;
    let written = database.write(|transaction| {
        transaction.open_table(FORMAT)?.insert(VERSION, TABLES)?;
        for table in Table::ALL {
            transaction.open_table(tables::of(table))?;
        }
        fill(transaction)
    });
    written.map_err(fault::opening)?;
    database.close()
}
