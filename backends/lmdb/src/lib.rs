//! Slipstream's store on LMDB: the ledger of `slipstream-embedded` on the tables of one LMDB file.
//!
//! `docs/lmdb.md` says which files there are, what the settings are, and what LMDB does not detect.

#[cfg(not(target_pointer_width = "64"))]
compile_error!("the LMDB store maps its file into memory and wants a platform of 64 bits");

mod engine;
mod environment;
mod fault;
mod inspect;
mod label;
mod make;
mod meta;
mod pages;
mod place;
mod reader;
mod room;
mod tables;

use std::sync::Arc;

use slipstream_embedded::{Backend, EmbeddedStore, Opened};
use slipstream_store::{About, Guarantee, Result};

pub use engine::LmdbEngine;
pub use place::place;
pub use reader::LmdbReader;
pub use slipstream_embedded::StoreOptions;

/// A [`MessageStore`](slipstream_store::MessageStore) in an LMDB file.
pub type LmdbStore = EmbeddedStore<LmdbEngine>;

/// The engine, for a program that chooses its store when it runs.
pub static BACKEND: Backend = Backend {
    about: About { engine: "lmdb", page: "docs/lmdb.md", not_recommended: None },
    open: |options| Ok(Arc::new(open(options)?)),
    open_tables: |options| Ok(Box::new(open_tables(options)?)),
    place,
};

/// Opens the store, and makes it if there is none; the folder is made with mode 0700. In it the file is
/// `slipstream.mdb`.
///
/// It blocks for as long as it takes to read the counts and the identities, about a second for a million of them; in
/// an async program call it in `spawn_blocking`.
///
/// # Errors
/// `InUse` if it is open already; `Corrupted` if it is damaged and `Unsupported` if it is another program's
/// or of another version, in both cases leaving the data file as it was; `Busy` or `Full` if the files cannot be
/// made.
pub fn open(options: &StoreOptions) -> Result<LmdbStore> {
    open_tables(options)?.into_store()
}

/// Opens the tables as [`open`] does, and reads no ledger from them: for the commands on whole stores.
///
/// # Errors
/// As [`open`].
pub fn open_tables(options: &StoreOptions) -> Result<Opened<LmdbEngine>> {
    let place = place(&options.path);
    let lock = place.lock()?;
    let marker = place.admit(&lock, label::in_file(&place.data()))?;
    let engine = LmdbEngine::open(&place, options.durability).map_err(|error| place.explain(&lock, error))?;
    let guarantee = Guarantee::new(BACKEND.about.engine, options.durability);
    Opened::new(engine, guarantee, lock, marker)
}
