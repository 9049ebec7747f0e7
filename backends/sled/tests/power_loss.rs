//! Sled on a disk that forgets what was not synced, once for each durability.
#![cfg(target_os = "linux")]

use std::path::Path;

use async_trait::async_trait;
use slipstream_conformance::{Harness, power_loss_tests};
use slipstream_embedded::StoreOptions;
use slipstream_sled::SledStore;
use slipstream_store::{Durability, Result};

/// Stores that are opened with this durability.
struct Sled(Durability);

#[async_trait]
impl Harness for Sled {
    type Store = SledStore;

    async fn open(&self, place: &Path) -> Result<SledStore> {
        slipstream_sled::open(&StoreOptions::new(place).durability(self.0))
    }
}

mod full {
    use super::*;
    power_loss_tests!(Sled(Durability::Full));
}

mod relaxed {
    use super::*;
    power_loss_tests!(Sled(Durability::Relaxed));
}
