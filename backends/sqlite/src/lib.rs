//! Slipstream's store on SQLite: the ledger of `slipstream-embedded` on the tables of one SQLite file.
//!
//! `docs/sqlite.md` says which files there are, how to look into them, and what the settings are.

mod connect;
mod engine;
mod fault;
mod place;
mod sql;
mod tables;

use std::path::{Path, PathBuf};

use slipstream_embedded::{EmbeddedStore, StoreLock};
use slipstream_store::{Durability, Guarantee, Result};

pub use engine::{SqliteEngine, SqliteReader};
use place::Place;

/// A [`MessageStore`](slipstream_store::MessageStore) in an SQLite file.
pub type SqliteStore = EmbeddedStore<SqliteEngine>;

/// Where a store is, and what its commits must survive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteOptions {
    path: PathBuf,
    durability: Durability,
}

impl SqliteOptions {
    /// The store at this path, with [`Durability::Full`]. A path that ends in `.db`, `.sqlite` or `.sqlite3` is the
    /// file itself; any other is a folder, in which the file is `slipstream.db`.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().to_owned(), durability: Durability::default() }
    }

    /// What commits must survive.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }
}

/// Opens the store, and makes it where there is none; a folder is made with mode 0700.
///
/// It blocks for as long as it takes to read the counts and the identities, about a second for a million of them; in
/// an async program call it in `spawn_blocking`.
///
/// # Errors
/// `InUse` where it is open already; `Corrupted` where it is damaged and `Unsupported` where it is another program's
/// or of another version, in both cases leaving it as it was; `Busy` or `Full` where the files cannot be made.
pub fn open(options: &SqliteOptions) -> Result<SqliteStore> {
    let place = Place::of(&options.path);
    place.make_folder()?;
    let lock = StoreLock::acquire(&place.lock, &place.store)?;
    let connection = connect::writer(&place.file, options.durability)?;
    place.sync_folders()?;
    let guarantee = Guarantee { engine: "sqlite", durability: options.durability, caveat: None };
    EmbeddedStore::open(SqliteEngine::new(connection, place.file), guarantee, lock)
}
