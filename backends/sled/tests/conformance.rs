//! The conformance suite on sled, once for each durability.

mod sled;

use sled::Sled;
use slipstream_conformance::conformance_tests;
use slipstream_store::Durability;

mod full {
    use super::*;
    conformance_tests!(Sled(Durability::Full));
}

mod relaxed {
    use super::*;
    conformance_tests!(Sled(Durability::Relaxed));
}
