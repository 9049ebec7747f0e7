//! What it takes to open a store, as one value: each kind of engine has the settings that it needs.

use std::path::PathBuf;

use slipstream_store::Durability;

use super::{Config, Engine};

/// The configuration of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreConfig {
    /// A store in files on this machine.
    Files {
        /// The engine.
        engine: Engine,
        /// Its folder, or its file.
        path: PathBuf,
        /// What a commit must survive.
        durability: Durability,
    },
}

impl Config {
    /// The store of the relay.
    #[must_use]
    pub fn store_config(&self) -> StoreConfig {
        StoreConfig::Files { engine: self.store, path: self.storage_path.clone(), durability: self.durability }
    }
}
