//! The model passes the suite, as an exclusive store and as a shared one.

use slipstream_conformance::{ModelHarness, SharedModelHarness};

mod exclusive_store {
    use super::ModelHarness;
    use slipstream_conformance::conformance_tests;

    conformance_tests!(ModelHarness::default());
}

mod shared_store {
    use super::SharedModelHarness;
    use slipstream_conformance::shared_conformance_tests;

    shared_conformance_tests!(SharedModelHarness::default());
}
