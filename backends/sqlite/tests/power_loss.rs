//! SQLite on a disk that forgets what was not synced, once for each durability.
#![cfg(target_os = "linux")]

mod sqlite;

use slipstream_conformance::power::{self, Image, Mounted, with_disks};
use slipstream_conformance::power_loss_tests;
use slipstream_embedded::StoreOptions;
use slipstream_store::Durability;
use sqlite::Sqlite;

/// Runs of the journal's index are so short that cuts fall into the writing of them.
const RUN: usize = 50;

mod full {
    use super::*;
    power_loss_tests!(Sqlite(Durability::Full, RUN));
}

mod relaxed {
    use super::*;
    power_loss_tests!(Sqlite(Durability::Relaxed, RUN));
}

#[test]
fn a_quota_is_a_full_disk() {
    let test = concat!(module_path!(), "::a_quota_is_a_full_disk");
    with_disks(test, |disks| {
        let disk = Mounted::new(&Image::empty(disks));
        let store = slipstream_sqlite::open(&StoreOptions::new(disk.path().join("store"))).expect("it opens");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(power::a_quota_is_a_full_disk(&disk, &store));
    });
}
