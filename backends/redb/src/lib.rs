//! Slipstream's store on redb: the ledger of `slipstream-embedded` on the tables of one redb file. It is Rust all the way
//! down, so that it builds without a C compiler.
//!
//! `docs/redb.md` says what the file holds, what the settings are, and what damage is detected.

mod connect;
mod engine;
mod fault;
mod handle;
mod make;
mod medium;
mod place;
mod reader;
mod room;
mod tables;
mod writes;

use std::sync::Arc;

use slipstream_embedded::{Backend, EmbeddedStore, Engine as _, Label, Opened};
use slipstream_store::{About, Durability, Guarantee, Result, Survives};

pub use engine::RedbEngine;
pub use place::place;
pub use reader::RedbReader;
pub use slipstream_embedded::StoreOptions;

/// A [`MessageStore`](slipstream_store::MessageStore) in a redb file.
pub type RedbStore = EmbeddedStore<RedbEngine>;

/// Why redb keeps more if less is asked for.
const RELAXED: &str = "redb syncs every commit, also where `relaxed` is asked for";

/// The engine, for a program that chooses its store when it runs.
pub static BACKEND: Backend = Backend {
    about: About { engine: "redb", page: "docs/redb.md", not_recommended: None },
    open: |options| Ok(Arc::new(open(options)?)),
    open_tables: |options| Ok(Box::new(open_tables(options)?)),
    place,
};

/// Opens the store in this folder, and makes it if there is none, the folder with mode 0700. The file in it is
/// `slipstream.redb`.
///
/// It blocks for as long as it takes to read the counts and the identities, and after a crash also for redb's repair,
/// which reads the whole file; in an async program call it in `spawn_blocking`. Nothing that was there is written
/// before the first commit.
///
/// # Errors
/// `InUse` if it is open already; `Corrupted` if it is damaged and `Unsupported` if it is another program's
/// or of another version, in both cases leaving it as it was; `Busy` or `Full` if the files cannot be made.
pub fn open(options: &StoreOptions) -> Result<RedbStore> {
    open_tables(options)?.into_store()
}

/// Opens the tables as [`open`] does, and reads no ledger from them: for the commands on whole stores.
///
/// # Errors
/// As [`open`].
pub fn open_tables(options: &StoreOptions) -> Result<Opened<RedbEngine>> {
    let place = place(&options.path);
    let lock = place.lock()?;
    let file = place.data();
    if !file.exists() {
        // What the lock file says of an earlier store is cleared first.
        place.admit(&lock, Label::Missing)?;
        make::empty(&file)?;
    }
    place.sync()?;
    let engine = RedbEngine::open(&file).map_err(|error| place.explain(&lock, error))?;
    let marker = place.admit(&lock, engine.label()?)?;
    let note = (options.durability == Durability::Relaxed).then_some(RELAXED);
    let guarantee = Guarantee::new(BACKEND.about.engine, options.durability);
    let guarantee = Guarantee { survives: Survives::PowerCut, note, ..guarantee };
    Opened::new(engine, guarantee, lock, marker)
}
