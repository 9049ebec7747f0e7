//! Links for calls that come in no order: a few, made when they are needed and kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use slipstream_store::{Result, StoreError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::errors::{Call, doubtful, ends_link, failed};
use crate::link::Link;
use crate::options::PostgresOptions;

/// A few links.
#[derive(Debug)]
pub(crate) struct Pool {
    options: PostgresOptions,
    call: Call,
    turns: Arc<Semaphore>,
    idle: Mutex<Vec<Link>>,
    closed: Arc<AtomicBool>,
}

impl Pool {
    /// Links for calls of this kind, so many at a time; a further call waits.
    pub(crate) fn new(options: PostgresOptions, call: Call, most: usize) -> Self {
        let turns = Arc::new(Semaphore::new(most));
        Self { options, call, turns, idle: Mutex::default(), closed: Arc::default() }
    }

    /// Others for the same store, which are closed with these.
    pub(crate) fn beside(&self, call: Call, most: usize) -> Self {
        Self { closed: Arc::clone(&self.closed), ..Self::new(self.options.clone(), call, most) }
    }

    /// Runs a statement, which is safe to repeat. If the link proves to have been lost meanwhile, it is run once more on a
    /// new one.
    ///
    /// # Errors
    /// `Closed`; otherwise what the database says.
    pub(crate) async fn query(&self, sql: &'static str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        let (mut lent, is_fresh) = self.lend().await?;
        let error = match self.run(&lent, sql, parameters).await? {
            Ok(rows) => return Ok(rows),
            Err(error) => error,
        };
        if !ends_link(&error) {
            return Err(failed(&error, self.call));
        }
        lent.link = None;
        if is_fresh {
            return Err(failed(&error, self.call));
        }
        self.idle.lock().clear();
        lent.link = Some(Link::connect(&self.options).await?);
        self.run(&lent, sql, parameters).await?.map_err(|error| {
            if ends_link(&error) {
                lent.link = None;
            }
            failed(&error, self.call)
        })
    }

    /// Runs a statement once.
    async fn run(
        &self,
        lent: &Lent<'_>,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Result<Vec<Row>, tokio_postgres::Error>> {
        let link = lent.link()?;
        link.take_doubt();
        let answered = link.query(sql, parameters).await;
        if self.call == Call::Write && answered.is_ok() && link.take_doubt() {
            return Err(doubtful());
        }
        Ok(answered)
    }

    /// Lends a link, and says whether it is new.
    pub(crate) async fn lend(&self) -> Result<(Lent<'_>, bool)> {
        self.is_open()?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let idle = self.idle.lock().pop().filter(|link| !link.is_closed());
        let is_fresh = idle.is_none();
        let link = match idle {
            Some(link) => link,
            None => Link::connect(&self.options).await?,
        };
        Ok((Lent { pool: self, link: Some(link), _turn: turn }, is_fresh))
    }

    /// # Errors
    /// `Closed` if the store was closed.
    pub(crate) fn is_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(StoreError::Closed) } else { Ok(()) }
    }

    /// Refuses every call from now on.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.idle.lock().clear();
    }
}

/// A link that goes back when it is dropped, unless it was lost. An answer that nobody waits for any more is thrown away
/// by what carries the link.
#[derive(Debug)]
pub(crate) struct Lent<'a> {
    pool: &'a Pool,
    link: Option<Link>,
    _turn: OwnedSemaphorePermit,
}

impl Lent<'_> {
    fn link(&self) -> Result<&Link> {
        self.link.as_ref().ok_or(StoreError::Closed)
    }

    /// Runs a statement that reads, once.
    ///
    /// # Errors
    /// What the database says.
    pub(crate) async fn ask(&self, sql: &'static str) -> Result<Vec<Row>> {
        self.link()?.query(sql, &[]).await.map_err(|error| failed(&error, Call::Read))
    }

    /// # Errors
    /// None: a link that was lent is there.
    pub(crate) fn link_mut(&mut self) -> Result<&mut Link> {
        self.link.as_mut().ok_or(StoreError::Closed)
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(link) = self.link.take().filter(|link| !link.is_closed())
            && self.pool.is_open().is_ok()
        {
            self.pool.idle.lock().push(link);
        }
    }
}
