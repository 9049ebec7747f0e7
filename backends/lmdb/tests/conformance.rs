//! The conformance suite on LMDB, once for each durability.

mod lmdb;

use lmdb::Lmdb;
use slipstream_conformance::conformance_tests;
use slipstream_store::Durability;

mod full {
    use super::*;
    conformance_tests!(Lmdb(Durability::Full));
}

mod relaxed {
    use super::*;
    conformance_tests!(Lmdb(Durability::Relaxed));
}
