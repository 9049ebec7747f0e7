//! A store while a migration makes it.
//!
//! Until it is finished its version is negative. A relay that opens it, of this version of the program or an earlier one,
//! refuses it for that. Whoever makes it holds an advisory lock for as long as its link lives; so one that was left unfinished is
//! known from one that is being made, and can be made anew.

use slipstream_store::{MessageStore as _, Result};

use crate::errors::{Call, failed, in_use, only, unreadable};
use crate::holdings::PostgresHoldings;
use crate::link::Link;
use crate::options::PostgresOptions;
use crate::schema;
use crate::store::PostgresStore;

/// Whoever makes a store holds this advisory lock.
const LOCK: i64 = 0x736c_6970_6d61_6b65;

const TAKE: &str = "SELECT pg_try_advisory_lock($1)";

/// The lock is had for as long as the link lives.
const STAY: &str = "SET idle_session_timeout = 0";

/// A store in PostgreSQL that nobody else can open until it is finished. If this is dropped before, it stays what it is: a
/// relay refuses it and says why, and another making begins anew.
#[derive(Debug)]
pub struct PostgresMaking {
    options: PostgresOptions,
    store: PostgresStore,
    claim: Link,
}

impl PostgresMaking {
    /// Begins a store in this database, in which there is none, or an empty one, or one that was left unfinished.
    ///
    /// # Errors
    /// `InUse` if it is being made by another process, or if an empty one is open; `Inaccessible` if there is a store
    /// already. Then nothing was changed. Otherwise as [`PostgresStore::open`].
    pub async fn begin(options: PostgresOptions) -> Result<Self> {
        let mut claim = Link::connect(&options).await?;
        claim.client().batch_execute(STAY).await.map_err(|error| failed(&error, Call::Read))?;
        let rows = claim.query(TAKE, &[&LOCK]).await.map_err(|error| failed(&error, Call::Read))?;
        if !only(&rows)?.try_get(0).map_err(|error| unreadable(&error))? {
            return Err(in_use());
        }
        schema::begin_anew(&mut claim).await?;
        let store = PostgresStore::open_unfinished(options.clone()).await?;
        Ok(Self { options, store, claim })
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &PostgresStore {
        &self.store
    }

    /// What it holds by now; nobody must write to it meanwhile.
    ///
    /// # Errors
    /// Those of reading.
    pub async fn holdings(&self) -> Result<PostgresHoldings> {
        PostgresHoldings::of_unfinished(&self.options).await
    }

    /// Makes it a store like any other.
    ///
    /// # Errors
    /// If it is not known to have become one.
    pub async fn finish(self) -> Result<()> {
        self.store.close().await?;
        // Over the link that has the lock: if that was lost, another may have begun anew.
        schema::finish(&self.claim).await
    }

    /// Removes what there is of it.
    ///
    /// # Errors
    /// If that is not known to have been done; it is then still unfinished.
    pub async fn abandon(self) -> Result<()> {
        self.store.close().await?;
        schema::drop_unfinished(&self.claim).await
    }
}
