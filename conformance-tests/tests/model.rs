//! The model passes the suite.

use slipstream_conformance::{ModelHarness, conformance_tests};

conformance_tests!(ModelHarness::default());
