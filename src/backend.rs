//! The one place that knows which engines are compiled in: turns a configuration into an open store.

use std::path::Path;
use std::sync::Arc;

use slipstream_store::{Durability, MessageStore, StoreError};

use crate::config::Engine;

/// The engines that are compiled in, the preferred one first.
pub const COMPILED: &[Engine] = &[
    #[cfg(feature = "sqlite")]
    Engine::Sqlite,
    #[cfg(feature = "redb")]
    Engine::Redb,
    #[cfg(feature = "lmdb")]
    Engine::Lmdb,
    #[cfg(feature = "sled")]
    Engine::Sled,
];

/// Opens the store at `path`, and makes it where there is none. It blocks.
///
/// # Errors
/// As the engine says; [`StoreError::Unsupported`] for an engine that is not compiled in.
#[cfg_attr(not(feature = "embedded"), expect(unused_variables, reason = "without an engine there is nothing to open"))]
pub fn open(engine: Engine, path: &Path, durability: Durability) -> Result<Arc<dyn MessageStore>, StoreError> {
    #[cfg(feature = "embedded")]
    let options = slipstream_embedded::StoreOptions::new(path).durability(durability);
    match engine {
        #[cfg(feature = "sqlite")]
        Engine::Sqlite => Ok(Arc::new(slipstream_sqlite::open(&options)?)),
        #[cfg(feature = "redb")]
        Engine::Redb => Ok(Arc::new(slipstream_redb::open(&options)?)),
        #[cfg(feature = "lmdb")]
        Engine::Lmdb => Ok(Arc::new(slipstream_lmdb::open(&options)?)),
        #[cfg(feature = "sled")]
        Engine::Sled => Ok(Arc::new(slipstream_sled::open(&options)?)),
        #[cfg(not(all(feature = "sqlite", feature = "redb", feature = "lmdb", feature = "sled")))]
        other => Err(StoreError::Unsupported(format!(
            "the engine {other} is not compiled in; build with the cargo feature `{other}`"
        ))),
    }
}
