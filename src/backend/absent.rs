//! Stands for the store in PostgreSQL if that is not compiled in.

use std::sync::Arc;

use slipstream_store::{Durability, MessageStore, StoreError};

use crate::config::{Engine, Required};
use crate::link::Secret;

pub(super) async fn open(
    _: &Secret,
    _: Durability,
    _: Option<Required>,
    _: bool,
) -> Result<Arc<dyn MessageStore>, StoreError> {
    std::future::ready(Err(not_compiled_in())).await
}

pub(super) fn address(_: &Secret) -> Result<String, StoreError> {
    Err(not_compiled_in())
}

fn not_compiled_in() -> StoreError {
    StoreError::Unsupported(Engine::Postgres.not_compiled_in())
}
