//! The conformance suite on PostgreSQL.

mod postgres;

use postgres::Postgres;
use slipstream_conformance::conformance_tests;

conformance_tests!(Postgres);
