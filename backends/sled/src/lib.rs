//! Slipstream's store on sled: the ledger of `slipstream-embedded` on one tree of sled 0.34.7.
//!
//! It is supported, not recommended. `docs/sled.md` says why, which files there are, what is done around sled so that
//! a confirmed message survives a power cut, and where that does not suffice.

mod changes;
mod engine;
mod fault;
mod files;
mod handle;
mod layout;
mod reader;
mod rows;
mod tables;
mod views;
mod wake;

use std::sync::Arc;

use slipstream_embedded::{Backend, EmbeddedStore, Opened};
use slipstream_store::{About, Guarantee, Result, Survives};

pub use engine::SledEngine;
pub use files::place;
pub use reader::SledReader;
pub use slipstream_embedded::StoreOptions;

/// A [`MessageStore`](slipstream_store::MessageStore) in a folder of sled's.
pub type SledStore = EmbeddedStore<SledEngine>;

/// What sled keeps, as far as it could be shown: see "What a power cut does" in `docs/sled.md`.
const NOTE: &str = "a power cut may take the last confirmed messages, and sled may then not open";

/// The engine, for a program that chooses its store when it runs.
pub static BACKEND: Backend = Backend {
    about: About {
        engine: "sled",
        page: "docs/sled.md",
        not_recommended: Some("its last stable release is from 2021"),
    },
    open: |options| Ok(Arc::new(open(options)?)),
    open_tables: |options| Ok(Box::new(open_tables(options)?)),
    place,
};

/// Opens the store, and makes it if there is none; the folder is made with mode 0700. Sled's files are in the
/// folder `slipstream.sled` in it.
///
/// It blocks while sled reads what was written since it was last opened; in an async program call it in
/// `spawn_blocking`.
///
/// # Errors
/// `InUse` if it is open already; `Corrupted` if it is damaged and `Unsupported` if it is of another version,
/// in both cases leaving it as it was; `Busy` or `Full` if the files cannot be made.
pub fn open(options: &StoreOptions) -> Result<SledStore> {
    open_tables(options)?.into_store()
}

/// Opens the tables as [`open`] does, and reads no ledger from them: for the commands on whole stores.
///
/// # Errors
/// As [`open`].
pub fn open_tables(options: &StoreOptions) -> Result<Opened<SledEngine>> {
    let place = place(&options.path);
    let lock = place.lock()?;
    let marker = place.admit(&lock, files::label(&place.data())?)?;
    if !place.data().exists() {
        files::create(&place, |_| Ok(()))?;
    }
    let engine = SledEngine::open(place.data()).map_err(|error| place.explain(&lock, error))?;
    place.sync()?;
    let guarantee = Guarantee::new(BACKEND.about.engine, options.durability);
    let guarantee = Guarantee { survives: Survives::KilledProcess, note: Some(NOTE), ..guarantee };
    Opened::new(engine, guarantee, lock, marker)
}
