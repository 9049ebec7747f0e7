//! The conformance suite on redb, once for each durability.

mod redb;

use redb::Redb;
use slipstream_conformance::conformance_tests;
use slipstream_store::Durability;

mod full {
    use super::*;
    conformance_tests!(Redb(Durability::Full));
}

mod relaxed {
    use super::*;
    conformance_tests!(Redb(Durability::Relaxed));
}
