//! The store as its callers see it.

use std::fmt;
use std::future::Future;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use slipstream_store::{
    Batch, DeadLetter, DeadLetterCount, DeadLetterCursor, DeadLetterFilter, Defect, Depth, Guarantee, Horizon,
    Identity, MessageStore, Outcome, Page, PageLimit, PeerId, Pending, Purged, Result, Roster, Sequence, SharedStore,
    Show, Stats, StoreError, Timestamp, Trace,
};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::AbortHandle;

use crate::errors::Call;
use crate::guarantee::Watched;
use crate::leaving::{self, Leaving};
use crate::membership::Membership;
use crate::options::PostgresOptions;
use crate::pool::Pool;
use crate::vacuum::Garbage;
use crate::writer::{SharedWriter, Writer};
use crate::{exchange, look, pages, pooler, trace};

/// Most links that read at a time.
const READERS: usize = 4;

/// A [`MessageStore`] in the schema `slipstream` of a PostgreSQL database.
///
/// Other processes may have the same store open. Commits and purges go over one connection, one at a time and in the
/// order in which they are asked for; reads go over up to four others. Once a commit or a purge has begun it goes on if
/// its future is dropped.
///
/// `Unavailable` and `Busy` mean that nothing was done. After a lost connection the next call makes a new one.
///
/// Each opening is a member of the [`SharedStore`]. What it says as one goes over connections of its own, and so never waits
/// for a commit of the same handle.
pub struct PostgresStore {
    writer: SharedWriter,
    pub(crate) readers: Arc<Pool>,
    pub(crate) membership: Membership,
    guarantee: Arc<Watched>,
    watching: AbortHandle,
    garbage: Garbage,
}

impl PostgresStore {
    /// Opens the store in this database, and makes it if there is none.
    ///
    /// # Errors
    /// `Unavailable` or `Busy` if the server cannot be reached; `Inaccessible` if it refuses this user; `Unsupported` if
    /// it is too old, or the schema is another program's or of a later version. Nothing was changed. `Inaccessible` also if a
    /// migration into the store was not finished.
    pub async fn open(options: PostgresOptions) -> Result<Self> {
        Self::enter(options, false).await
    }

    /// Opens a store that is being made, and that nobody else opens.
    pub(crate) async fn open_unfinished(options: PostgresOptions) -> Result<Self> {
        Self::enter(options, true).await
    }

    async fn enter(options: PostgresOptions, makes: bool) -> Result<Self> {
        leaving::ended().await;
        let readers = Arc::new(Pool::new(options.clone(), Call::Read, READERS));
        pooler::refuse(&readers).await?;
        let guarantee = Arc::new(Watched::begin(&readers, options.asks_for()).await?);
        let entered = Writer::open(options, Arc::clone(&guarantee), makes).await?;
        let membership = Membership::new(&readers, entered.origin, entered.heard, entered.interleaved, entered.wake);
        let writer = Arc::new(Mutex::new(entered.writer));
        let watching = tokio::spawn(Arc::clone(&guarantee).keep(Arc::clone(&readers))).abort_handle();
        Ok(Self { writer, readers, membership, guarantee, watching, garbage: entered.garbage })
    }

    /// Runs what writes in a task of its own, once it is its turn.
    async fn write<T, F>(&self, work: impl FnOnce(OwnedMutexGuard<Writer>) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let turn = Arc::clone(&self.writer).lock_owned().await;
        self.readers.is_open()?;
        tokio::spawn(work(turn))
            .await
            .unwrap_or_else(|error| Err(StoreError::Indeterminate(format!("a call ended early: {error}"))))
    }
}

/// A store that is dropped leaves as one that is closed does, once what it has begun is done, if there is a runtime still.
/// Others wait for that who open one in this process.
impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.watching.abort();
        if self.readers.is_open().is_ok()
            && let Ok(runtime) = Handle::try_current()
        {
            let (writer, leaving) = (Arc::clone(&self.writer), Leaving::begin());
            runtime.spawn(async move {
                writer.lock_owned().await.leave().await;
                drop(leaving);
            });
        }
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("guarantee", &self.guarantee.get()).finish_non_exhaustive()
    }
}

#[async_trait]
impl MessageStore for PostgresStore {
    fn guarantee(&self) -> Guarantee {
        self.guarantee.get()
    }

    fn shared(&self) -> Option<&dyn SharedStore> {
        Some(self)
    }

    async fn commit(&self, batch: Arc<Batch>) -> Result<Vec<Outcome>> {
        self.write(|mut writer| async move { writer.commit(&batch).await }).await
    }

    async fn pending(&self, peer: &PeerId, after: Option<Sequence>, limit: PageLimit) -> Result<Page<Pending>> {
        pages::pending(&self.readers, peer, after, limit).await
    }

    async fn deliveries(&self, identity: &Identity) -> Result<Option<Trace>> {
        trace::read(&self.readers, identity).await
    }

    async fn exchanged(&self, peer: &PeerId, show: Show) -> Result<Timestamp> {
        exchange::show(&self.readers, peer, show).await
    }

    async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        after: Option<DeadLetterCursor>,
        limit: PageLimit,
    ) -> Result<Page<DeadLetter>> {
        pages::dead_letters(&self.readers, filter, after, limit).await
    }

    async fn dead_letter_counts(&self) -> Result<Vec<DeadLetterCount>> {
        look::dead_letter_counts(&self.readers).await
    }

    async fn roster(&self) -> Result<Roster> {
        look::roster(&self.readers).await
    }

    /// Besides what the trait says: if much has gone since the last time, a `VACUUM` begins in the background.
    async fn purge(&self, horizon: Horizon, budget: NonZeroU32) -> Result<Purged> {
        let purged = self.write(move |mut writer| async move { writer.purge(horizon, budget.get()).await }).await?;
        // Commits go on meanwhile.
        self.garbage.collect().await;
        Ok(purged)
    }

    async fn stats(&self) -> Result<Stats> {
        look::stats(&self.readers).await
    }

    async fn check(&self, depth: Depth) -> Result<Vec<Defect>> {
        look::check(&self.readers, depth).await
    }

    /// Always `Unsupported`: PostgreSQL has its own ways.
    async fn backup(&self, _: &Path) -> Result<()> {
        self.readers.is_open()?;
        let text = "back the database up with pg_dump, pg_basebackup or an archive of its log";
        Err(StoreError::Unsupported(text.to_owned()))
    }

    async fn close(&self) -> Result<()> {
        let mut turn = Arc::clone(&self.writer).lock_owned().await;
        if self.readers.is_open().is_err() {
            return Ok(());
        }
        self.watching.abort();
        self.readers.close();
        self.membership.close();
        // Also if nobody waits for it.
        let left = tokio::spawn(async move { turn.leave().await }).await;
        left.map_err(|error| StoreError::Unavailable(error.to_string()))
    }
}
