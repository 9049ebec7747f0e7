//! Sled on a disk that forgets what was not synced, once for each durability.
#![cfg(target_os = "linux")]

mod sled;

use sled::Sled;
use slipstream_conformance::power_loss_tests;
use slipstream_store::Durability;

/// Runs of the journal's index are so short that cuts fall into the writing of them.
const RUN: usize = 50;

mod full {
    use super::*;
    power_loss_tests!(Sled(Durability::Full, RUN));
}

mod relaxed {
    use super::*;
    power_loss_tests!(Sled(Durability::Relaxed, RUN));
}
