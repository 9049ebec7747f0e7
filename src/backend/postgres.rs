//! The store in PostgreSQL, if it is compiled in.

use std::sync::Arc;
use std::time::Duration;

use slipstream_postgres::{PostgresHoldings, PostgresMaking, PostgresOptions, PostgresStore};
use slipstream_store::{Durability, Holdings, MessageStore, StoreError};

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

/// A store that is read as a whole, and to which nobody writes meanwhile.
#[derive(Debug)]
pub struct ReadAlone(PostgresHoldings);

impl ReadAlone {
    /// Keeps others out of the store with this URL. A process that shows no life for so long counts as gone.
    ///
    /// # Errors
    /// As [`PostgresHoldings::open`].
    pub async fn begin(url: &Secret, silent_for: Duration) -> Result<Self, StoreError> {
        Ok(Self(PostgresHoldings::open(PostgresOptions::new(url.expose())?, silent_for).await?))
    }

    /// What it holds.
    pub fn holdings(&mut self) -> &mut dyn Holdings {
        &mut self.0
    }

    /// Whether others were kept out until now.
    ///
    /// # Errors
    /// As [`PostgresHoldings::are_whole`].
    pub async fn is_whole(&self) -> Result<(), StoreError> {
        self.0.are_whole().await
    }
}

/// A store that is being made, and that nobody else opens until it is finished.
#[derive(Debug)]
pub struct Making(PostgresMaking);

impl Making {
    /// Begins it.
    ///
    /// # Errors
    /// As [`PostgresMaking::begin`].
    pub async fn begin(url: &Secret) -> Result<Self, StoreError> {
        Ok(Self(PostgresMaking::begin(PostgresOptions::new(url.expose())?).await?))
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &dyn MessageStore {
        self.0.store()
    }

    /// What it holds by now.
    ///
    /// # Errors
    /// As [`PostgresMaking::holdings`].
    pub async fn holdings(&self) -> Result<Box<dyn Holdings>, StoreError> {
        Ok(Box::new(self.0.holdings().await?))
    }

    /// Makes it a store like any other.
    ///
    /// # Errors
    /// As [`PostgresMaking::finish`].
    pub async fn finish(self) -> Result<(), StoreError> {
        self.0.finish().await
    }

    /// Removes what there is of it.
    ///
    /// # Errors
    /// As [`PostgresMaking::abandon`].
    pub async fn abandon(self) -> Result<(), StoreError> {
        self.0.abandon().await
    }
}
