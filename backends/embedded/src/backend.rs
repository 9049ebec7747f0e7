//! What an engine's crate gives to a program that chooses its store when it runs.

use std::path::Path;
use std::sync::Arc;

use slipstream_store::{About, MessageStore, Result};

use crate::files::place::{Place, StoreOptions};
use crate::store::offline::OfflineStore;

/// An engine whose type is erased. Its crate has one as a `static`, `BACKEND`, so that what is generic over the engine is
/// compiled in that crate and not again in each program.
#[derive(Debug)]
pub struct Backend {
    /// What is known of the engine before a store is opened.
    pub about: About,
    /// The crate's `open`.
    pub open: fn(&StoreOptions) -> Result<Arc<dyn MessageStore>>,
    /// The crate's `open_tables`.
    pub open_tables: fn(&StoreOptions) -> Result<Box<dyn OfflineStore>>,
    /// The crate's `place`: where the files of a store are. Nothing is opened.
    pub place: fn(&Path) -> Place,
}
