//! The conformance suite on LMDB, once for each durability.

mod lmdb;

use lmdb::Lmdb;
use slipstream_conformance::conformance_tests;
use slipstream_store::Durability;

/// Runs of the journal's index are so short that the suite sees them written, read and removed.
const RUN: usize = 50;

mod full {
    use super::*;
    conformance_tests!(Lmdb(Durability::Full, RUN));
}

mod relaxed {
    use super::*;
    conformance_tests!(Lmdb(Durability::Relaxed, RUN));
}
