//! The one place that knows which engines are compiled in: turns a configuration into an open store.

use std::path::Path;
use std::sync::Arc;

use slipstream_embedded::{OfflineStore, Place, StoreOptions};
use slipstream_store::{Durability, MessageStore, StoreError};

use crate::config::Engine;

/// What an engine's crate gives.
struct Backend {
    engine: Engine,
    open: fn(&StoreOptions) -> Result<Arc<dyn MessageStore>, StoreError>,
    open_tables: fn(&StoreOptions) -> Result<Box<dyn OfflineStore>, StoreError>,
    place: fn(&Path) -> Place,
}

macro_rules! backends {
    ($($feature:literal $engine:ident $backend:ident;)+) => {
        /// The engines that are compiled in, the preferred one first.
        pub const COMPILED: &[Engine] = &[$(
            #[cfg(feature = $feature)]
            Engine::$engine,
        )+];

        const BACKENDS: &[Backend] = &[$(
            #[cfg(feature = $feature)]
            Backend {
                engine: Engine::$engine,
                open: |options| Ok(Arc::new($backend::open(options)?)),
                open_tables: |options| Ok(Box::new($backend::open_tables(options)?)),
                place: $backend::place,
            },
        )+];
    };
}

backends! {
    "sqlite" Sqlite slipstream_sqlite;
    "redb" Redb slipstream_redb;
    "lmdb" Lmdb slipstream_lmdb;
    "sled" Sled slipstream_sled;
}

fn backend(engine: Engine) -> Result<&'static Backend, StoreError> {
    let found = BACKENDS.iter().find(|backend| backend.engine == engine);
    found.ok_or_else(|| StoreError::Unsupported(engine.not_compiled_in()))
}

/// Opens the store at `path`, and makes it where there is none. It blocks.
///
/// # Errors
/// As the engine says; [`StoreError::Unsupported`] for an engine that is not compiled in.
pub fn open(engine: Engine, path: &Path, durability: Durability) -> Result<Arc<dyn MessageStore>, StoreError> {
    (backend(engine)?.open)(&StoreOptions::new(path).durability(durability))
}

/// Opens the tables of the store at `path`, and makes them where there are none, for work on the whole store. It blocks.
///
/// # Errors
/// As [`open`].
pub fn open_tables(engine: Engine, path: &Path) -> Result<Box<dyn OfflineStore>, StoreError> {
    (backend(engine)?.open_tables)(&StoreOptions::new(path))
}

/// Where the files of a store at `path` are. Nothing is opened.
///
/// # Errors
/// [`StoreError::Unsupported`] for an engine that is not compiled in.
pub fn place(engine: Engine, path: &Path) -> Result<Place, StoreError> {
    backend(engine).map(|backend| (backend.place)(path))
}
