//! The transaction in which a store is read.

use slipstream_store::Result;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::errors::{Call, failed};
use crate::link::Link;

/// A link with a transaction that has begun.
#[derive(Debug)]
pub(super) struct Reading(Link);

impl Reading {
    pub(super) fn of(link: Link) -> Self {
        Self(link)
    }

    pub(super) async fn query(&self, sql: &'static str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        self.0.query(sql, parameters).await.map_err(|error| failed(&error, Call::Read))
    }
}
