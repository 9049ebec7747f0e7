//! redb on a disk that forgets what was not synced, once for each durability.
#![cfg(target_os = "linux")]

use std::path::Path;

use async_trait::async_trait;
use slipstream_conformance::{Harness, power_loss_tests};
use slipstream_embedded::StoreOptions;
use slipstream_redb::RedbStore;
use slipstream_store::{Durability, Result};

/// Stores that are opened with this durability.
struct Redb(Durability);

#[async_trait]
impl Harness for Redb {
    type Store = RedbStore;

    async fn open(&self, place: &Path) -> Result<RedbStore> {
        slipstream_redb::open(&StoreOptions::new(place).durability(self.0))
    }
}

mod full {
    use super::*;
    power_loss_tests!(Redb(Durability::Full));
}

mod relaxed {
    use super::*;
    power_loss_tests!(Redb(Durability::Relaxed));
}
