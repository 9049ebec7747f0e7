//! redb on a disk that forgets what was not synced, once for each durability.
#![cfg(target_os = "linux")]

mod redb;

use redb::Redb;
use slipstream_conformance::power_loss_tests;
use slipstream_store::Durability;

mod full {
    use super::*;
    power_loss_tests!(Redb(Durability::Full));
}

mod relaxed {
    use super::*;
    power_loss_tests!(Redb(Durability::Relaxed));
}
