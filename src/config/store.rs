//! What it takes to open a store, as one value: each kind of engine has the settings that it needs.

use std::path::PathBuf;

use slipstream_store::Durability;

use super::{Config, EmbeddedEngine, Engine, Required};
use crate::link::Secret;

/// The configuration of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreConfig {
    /// A store in files on this machine.
    Files {
        /// The engine.
        engine: EmbeddedEngine,
        /// Its folder, or its file.
        path: PathBuf,
        /// What a commit must survive.
        durability: Durability,
    },
    /// A store in PostgreSQL.
    Postgres {
        /// Where the database is, and who uses it.
        url: Secret,
        /// What a commit must survive.
        durability: Durability,
        /// What must hold besides before anything is confirmed.
        required: Option<Required>,
    },
}

impl Config {
    /// The store of the relay.
    #[must_use]
    pub fn store_config(&self) -> StoreConfig {
        let durability = self.durability;
        match self.store {
            Engine::Embedded(engine) => StoreConfig::Files { engine, path: self.storage_path.clone(), durability },
            Engine::Postgres => {
                // A rule wants a URL.
                let url = self.store_url.clone().unwrap_or_else(|| Secret::new(String::new()));
                StoreConfig::Postgres { url, durability, required: self.require }
            }
        }
    }
}
