//! The conformance suite on LMDB, once for each durability.

use std::path::Path;

use async_trait::async_trait;
use slipstream_conformance::{Harness, conformance_tests};
use slipstream_embedded::StoreOptions;
use slipstream_lmdb::LmdbStore;
use slipstream_store::{Durability, Result};

/// Stores that are opened with this durability.
struct Lmdb(Durability);

#[async_trait]
impl Harness for Lmdb {
    type Store = LmdbStore;

    async fn open(&self, place: &Path) -> Result<LmdbStore> {
        slipstream_lmdb::open(&StoreOptions::new(place).durability(self.0))
    }
}

mod full {
    use super::*;
    conformance_tests!(Lmdb(Durability::Full));
}

mod relaxed {
    use super::*;
    conformance_tests!(Lmdb(Durability::Relaxed));
}
