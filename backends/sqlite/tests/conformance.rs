//! The conformance suite on SQLite, once for each durability.

mod sqlite;

use slipstream_conformance::conformance_tests;
use slipstream_store::Durability;
use sqlite::Sqlite;

/// Runs of the journal's index are so short that the suite sees them written, read and removed.
const RUN: usize = 50;

mod full {
    use super::*;
    conformance_tests!(Sqlite(Durability::Full, RUN));
}

mod relaxed {
    use super::*;
    conformance_tests!(Sqlite(Durability::Relaxed, RUN));
}
