//! Slipstream's store on SQLite: the ledger of `slipstream-embedded` on the tables of one SQLite file.
//!
//! `docs/sqlite.md` says which files there are, how to look into them, and what the settings are.

mod connect;
mod engine;
mod fault;
mod label;
mod place;
mod sql;
mod tables;

use std::sync::Arc;

use slipstream_embedded::{Backend, EmbeddedStore, Label, Opened};
use slipstream_store::{About, Guarantee, Result};

pub use engine::{SqliteEngine, SqliteReader};
pub use place::place;
pub use slipstream_embedded::StoreOptions;

/// A [`MessageStore`](slipstream_store::MessageStore) in an SQLite file.
pub type SqliteStore = EmbeddedStore<SqliteEngine>;

/// The engine, for a program that chooses its store when it runs.
pub static BACKEND: Backend = Backend {
    about: About { engine: "sqlite", page: "docs/sqlite.md", not_recommended: None },
    open: |options| Ok(Arc::new(open(options)?)),
    open_tables: |options| Ok(Box::new(open_tables(options)?)),
    place,
};

/// Opens the store, and makes it if there is none; a folder is made with mode 0700. A path that ends in `.db`,
/// `.sqlite` or `.sqlite3` is the file itself; any other is a folder, in which the file is `slipstream.db`.
///
/// It blocks for as long as it takes to read the counts and the identities, about a second for a million of them; in
/// an async program call it in `spawn_blocking`.
///
/// # Errors
/// `InUse` if it is open already; `Corrupted` if it is damaged and `Unsupported` if it is another program's
/// or of another version, in both cases leaving it as it was; `Inaccessible`, `Busy` or `Full` if the files cannot be
/// made.
pub fn open(options: &StoreOptions) -> Result<SqliteStore> {
    open_tables(options)?.into_store()
}

/// Opens the tables as [`open`] does, and reads no ledger from them: for the commands on whole stores.
///
/// # Errors
/// As [`open`].
pub fn open_tables(options: &StoreOptions) -> Result<Opened<SqliteEngine>> {
    let place = place(&options.path);
    let lock = place.lock()?;
    let file = place.data();
    let label = label::in_file(&file);
    let mut marker = place.admit(&lock, label)?;
    let connection = connect::writer(&file, options.durability).map_err(|error| place.explain(&lock, error))?;
    if label == Label::Unreadable {
        // What tears the file may be whole in the log.
        let label = label::seen_by(&connection).map_err(|error| fault::reading(&error))?;
        marker = place.admit(&lock, label)?;
    }
    place.sync()?;
    let guarantee = Guarantee::new(BACKEND.about.engine, options.durability);
    Opened::new(SqliteEngine::new(connection, file), guarantee, lock, marker)
}
