//! How the suite opens stores on SQLite.

use std::path::Path;

use async_trait::async_trait;
use slipstream_conformance::{FlippedBits, Harness};
use slipstream_embedded::StoreOptions;
use slipstream_sqlite::SqliteStore;
use slipstream_store::{Durability, Result};

/// Stores that are opened with this durability, and whose index of the journal has runs of so many entries.
#[derive(Debug)]
pub(crate) struct Sqlite(pub(crate) Durability, pub(crate) usize);

#[async_trait]
impl Harness for Sqlite {
    type Store = SqliteStore;

    async fn open(&self, place: &Path) -> Result<SqliteStore> {
        Ok(slipstream_sqlite::open(&StoreOptions::new(place).durability(self.0))?.with_runs_of(self.1))
    }

    fn take_copy(&self, path: &Path) {
        let marked = slipstream_sqlite::place(path).salvage();
        assert!(marked.is_ok(), "{marked:?}");
    }

    fn flipped_bits(&self) -> FlippedBits {
        FlippedBits::MayGoUnnoticed("SQLite keeps no checksums of the pages in its file")
    }
}
