//! How the suite opens stores on redb.

use std::path::Path;

use async_trait::async_trait;
use slipstream_conformance::Harness;
use slipstream_embedded::StoreOptions;
use slipstream_redb::RedbStore;
use slipstream_store::{Durability, Result};

/// Stores that are opened with this durability, and whose index of the journal has runs of so many entries.
#[derive(Debug)]
pub(crate) struct Redb(pub(crate) Durability, pub(crate) usize);

#[async_trait]
impl Harness for Redb {
    type Store = RedbStore;

    async fn open(&self, place: &Path) -> Result<RedbStore> {
        Ok(slipstream_redb::open(&StoreOptions::new(place).durability(self.0))?.with_runs_of(self.1))
    }

    fn take_copy(&self, path: &Path) {
        let marked = slipstream_redb::place(path).salvage();
        assert!(marked.is_ok(), "{marked:?}");
    }
}
