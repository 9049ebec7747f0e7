//! LMDB on a disk that forgets what was not synced, once for each durability.
#![cfg(target_os = "linux")]

mod lmdb;

use lmdb::Lmdb;
use slipstream_conformance::power_loss_tests;
use slipstream_store::Durability;

mod full {
    use super::*;
    power_loss_tests!(Lmdb(Durability::Full));
}

mod relaxed {
    use super::*;
    power_loss_tests!(Lmdb(Durability::Relaxed));
}
