//! SQLite on a disk that forgets what was not synced, once for each durability.
#![cfg(target_os = "linux")]

mod sqlite;

use slipstream_conformance::power_loss_tests;
use slipstream_store::Durability;
use sqlite::Sqlite;

mod full {
    use super::*;
    power_loss_tests!(Sqlite(Durability::Full));
}

mod relaxed {
    use super::*;
    power_loss_tests!(Sqlite(Durability::Relaxed));
}
