//! Stands for the store in PostgreSQL if that is not compiled in.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use slipstream_store::{Durability, Holdings, MessageStore, StoreError};

use crate::config::{Engine, Required};
use crate::link::Secret;

pub(super) async fn open(
    _: &Secret,
    _: Durability,
    _: Option<Required>,
    _: bool,
) -> Result<Arc<dyn MessageStore>, StoreError> {
    ready(Err(not_compiled_in())).await
}

pub(super) fn address(_: &Secret) -> Result<String, StoreError> {
    Err(not_compiled_in())
}

fn not_compiled_in() -> StoreError {
    StoreError::Unsupported(Engine::Postgres.not_compiled_in())
}

/// There is none.
#[derive(Debug)]
pub enum ReadAlone {}

impl ReadAlone {
    /// # Errors
    /// Always.
    pub async fn begin(_: &Secret, _: Duration) -> Result<Self, StoreError> {
        ready(Err(not_compiled_in())).await
    }

    /// It is never called.
    pub fn holdings(&mut self) -> &mut dyn Holdings {
        match *self {}
    }

    /// It is never called.
    pub async fn is_whole(&self) -> Result<(), StoreError> {
        match *self {}
    }
}

/// There is none.
#[derive(Debug)]
pub enum Making {}

impl Making {
    /// # Errors
    /// Always.
    pub async fn begin(_: &Secret) -> Result<Self, StoreError> {
        ready(Err(not_compiled_in())).await
    }

    /// It is never called.
    pub fn store(&self) -> &dyn MessageStore {
        match *self {}
    }

    /// It is never called.
    pub async fn holdings(&self) -> Result<Box<dyn Holdings>, StoreError> {
        match *self {}
    }

    /// It is never called.
    pub async fn finish(self) -> Result<(), StoreError> {
        match self {}
    }

    /// It is never called.
    pub async fn abandon(self) -> Result<(), StoreError> {
        match self {}
    }
}
