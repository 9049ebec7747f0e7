//! The conformance suite on SQLite, once for each durability.

mod sqlite;

use slipstream_conformance::conformance_tests;
use slipstream_store::Durability;
use sqlite::Sqlite;

mod full {
    use super::*;
    conformance_tests!(Sqlite(Durability::Full));
}

mod relaxed {
    use super::*;
    conformance_tests!(Sqlite(Durability::Relaxed));
}
