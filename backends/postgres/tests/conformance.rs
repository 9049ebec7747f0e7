//! The conformance suite on PostgreSQL.
#![expect(clippy::expect_used, reason = "a test says what it finds by panicking")]

mod postgres;

use postgres::Postgres;
use slipstream_conformance::shared_conformance_tests;

shared_conformance_tests!(Postgres);
