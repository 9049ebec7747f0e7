//! The store on a disk that forgets what was not synced, once for each durability.
#![cfg(target_os = "linux")]

use std::path::Path;

use async_trait::async_trait;
use journal_store::JournalStore;
use slipstream_conformance::{Harness, power_loss_tests};
use slipstream_store::{Durability, Result};

/// Stores that are opened with this durability.
struct Journal(Durability);

#[async_trait]
impl Harness for Journal {
    type Store = JournalStore;

    async fn open(&self, place: &Path) -> Result<JournalStore> {
        JournalStore::open(place, self.0)
    }
}

mod full {
    use super::*;
    power_loss_tests!(Journal(Durability::Full));
}

mod relaxed {
    use super::*;
    power_loss_tests!(Journal(Durability::Relaxed));
}
