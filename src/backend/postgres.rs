//! The store in PostgreSQL, if it is compiled in.

use std::sync::Arc;

use slipstream_postgres::{PostgresOptions, PostgresStore};
use slipstream_store::{Durability, MessageStore, StoreError};

use crate::config::Required;
use crate::link::Secret;

/// Opens a store, and makes it if there is none and it is to be made.
pub(super) async fn open(
    url: &Secret,
    durability: Durability,
    required: Option<Required>,
    make: bool,
) -> Result<Arc<dyn MessageStore>, StoreError> {
    let mut options = PostgresOptions::new(url.expose())?.durability(durability);
    if let Some(Required::Standby) = required {
        options = options.require_standby();
    }
    if !make {
        options = options.must_exist();
    }
    Ok(Arc::new(PostgresStore::open(options).await?))
}

/// Where a store is, for people: the URL without who uses it.
pub(super) fn address(url: &Secret) -> Result<String, StoreError> {
    Ok(PostgresOptions::new(url.expose())?.to_string())
}
