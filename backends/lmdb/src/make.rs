//! Making files of LMDB: an empty store, and the copy of one.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use heed::{CommitOrAbort, CompactionOption};
use slipstream_embedded::{Opening, Staging, Table, beside};
use slipstream_store::{Durability, Result};

use crate::environment::{self, Environment};
use crate::fault::{self, about};
use crate::place::LOCK;
use crate::tables::{Database, MARK, SCHEMA_VERSION};

/// What follows the name of a store's file while it is made.
const NEW: &str = "-new";

/// Makes an empty store at `file`. It gets its name once it is whole: a file of that name is a store, whenever the power
/// fails.
pub(crate) fn empty(file: &Path) -> Result<()> {
    Staging::beside(file, NEW).make(file, |aside| {
        remove_lock(aside)?;
        let environment = environment::map(aside, Durability::Full)?;
        let made = create_tables(&environment);
        environment.prepare_for_closing().wait();
        made.map_err(|error| fault::reading(&error))?;
        remove_lock(aside)
    })
}

/// Writes a copy of a store to `file`, without its free pages and with a label of its own.
pub(crate) fn copy(environment: &Environment, file: &Path) -> Result<()> {
    let copied = environment.copy_to_path(file, CompactionOption::Enabled);
    drop(copied.map_err(|error| about(file, fault::reading(&error)))?);
    let environment = environment::map(file, Durability::Full)?;
    let labelled = environment::open_tables(&environment, file).and_then(|databases| {
        let set = databases.set_label(&environment, Opening::of_a_copy());
        set.map_err(|error| about(file, fault::reading(&error)))
    });
    environment.prepare_for_closing().wait();
    labelled.and_then(|()| remove_lock(file))
}

/// Removes LMDB's lock file, which nobody has open.
fn remove_lock(file: &Path) -> Result<()> {
    let lock = beside(file, LOCK);
    match fs::remove_file(&lock) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(fault::system(&error, format!("removing {}: {error}", lock.display())))
        }
        _ => Ok(()),
    }
}

fn create_tables(environment: &Environment) -> heed::Result<()> {
    let transaction = environment.write_txn()?;
    let made = environment.create_databases_and_commit(transaction, |tables, transaction| -> heed::Result<_> {
        for table in Table::ALL {
            let _: Database<'_> = tables.create_database(transaction, Some(table.name()))?;
        }
        let marks: Database<'_> = tables.create_database(transaction, None)?;
        marks.put(transaction, MARK, &SCHEMA_VERSION.to_be_bytes())?;
        Ok(CommitOrAbort::<(), ()>::Commit(()))
    });
    made.map(drop)
}
