//! How the suite opens stores on sled.

use std::path::Path;

use async_trait::async_trait;
use slipstream_conformance::{AfterACut, Harness};
use slipstream_embedded::StoreOptions;
use slipstream_sled::SledStore;
use slipstream_store::{Durability, Result};

/// Stores that are opened with this durability, and whose index of the journal has runs of so many entries.
#[derive(Debug)]
pub(crate) struct Sled(pub(crate) Durability, pub(crate) usize);

#[async_trait]
impl Harness for Sled {
    type Store = SledStore;

    async fn open(&self, place: &Path) -> Result<SledStore> {
        Ok(slipstream_sled::open(&StoreOptions::new(place).durability(self.0))?.with_runs_of(self.1))
    }

    fn take_copy(&self, path: &Path) {
        let marked = slipstream_sled::place(path).salvage();
        assert!(marked.is_ok(), "{marked:?}");
    }

    fn after_a_cut(&self) -> AfterACut {
        AfterACut::MayNotOpen("sled takes for stable what it wrote and never synced")
    }
}
