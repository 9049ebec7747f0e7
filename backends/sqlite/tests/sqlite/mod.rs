//! How the suite opens stores on SQLite.

use std::path::Path;

use async_trait::async_trait;
use slipstream_conformance::{FlippedBits, Harness};
use slipstream_embedded::StoreOptions;
use slipstream_sqlite::SqliteStore;
use slipstream_store::{Durability, Result};

/// Stores that are opened with this durability.
#[derive(Debug)]
pub(crate) struct Sqlite(pub(crate) Durability);

#[async_trait]
impl Harness for Sqlite {
    type Store = SqliteStore;

    async fn open(&self, place: &Path) -> Result<SqliteStore> {
        slipstream_sqlite::open(&StoreOptions::new(place).durability(self.0))
    }

    fn take_copy(&self, path: &Path) {
        let marked = slipstream_sqlite::place(path).salvage();
        assert!(marked.is_ok(), "{marked:?}");
    }

    fn flipped_bits(&self) -> FlippedBits {
        FlippedBits::MayGoUnnoticed("SQLite keeps no checksums of the pages in its file")
    }
}
