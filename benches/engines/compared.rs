//! The engines that are compared.

use std::path::Path;
use std::sync::Arc;

use slipstream_store::{Durability, MessageStore, Result};

/// An engine, and how a store of it is opened.
pub(crate) struct Engine {
    pub(crate) name: &'static str,
    pub(crate) open: fn(&Path) -> Result<Arc<dyn MessageStore>>,
}

macro_rules! engines {
    ($($name:literal $backend:ident;)+) => {
        /// Every engine, the preferred one first.
        pub(crate) const ENGINES: &[Engine] = &[$(
            Engine {
                name: $name,
                open: |path| {
                    let options = $backend::StoreOptions::new(path).durability(Durability::Full);
                    Ok(Arc::new($backend::open(&options)?))
                },
            },
        )+];
    };
}

engines! {
    "sqlite" slipstream_sqlite;
    "redb" slipstream_redb;
    "lmdb" slipstream_lmdb;
    "sled" slipstream_sled;
}
