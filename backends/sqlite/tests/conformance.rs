//! The conformance suite on SQLite, once for each durability.

use std::path::Path;

use async_trait::async_trait;
use slipstream_conformance::{Harness, conformance_tests};
use slipstream_embedded::StoreOptions;
use slipstream_sqlite::SqliteStore;
use slipstream_store::{Durability, Result};

/// Stores that are opened with this durability.
struct Sqlite(Durability);

#[async_trait]
impl Harness for Sqlite {
    type Store = SqliteStore;

    async fn open(&self, place: &Path) -> Result<SqliteStore> {
        slipstream_sqlite::open(&StoreOptions::new(place).durability(self.0))
    }
}

mod full {
    use super::*;
    conformance_tests!(Sqlite(Durability::Full));
}

mod relaxed {
    use super::*;
    conformance_tests!(Sqlite(Durability::Relaxed));
}
