//! The links that read: a few, made when they are needed and kept.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use slipstream_store::{Result, StoreError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::errors::{Call, ends_link, failed};
use crate::link::Link;
use crate::options::PostgresOptions;

/// Most links that read at a time; a further call waits.
const MOST: usize = 4;

/// Links that read.
#[derive(Debug)]
pub(crate) struct Readers {
    options: PostgresOptions,
    turns: Arc<Semaphore>,
    idle: Mutex<Vec<Link>>,
    /// Why every call is refused, once they are.
    ended: OnceLock<StoreError>,
}

impl Readers {
    pub(crate) fn new(options: PostgresOptions) -> Self {
        let turns = Arc::new(Semaphore::new(MOST));
        Self { options, turns, idle: Mutex::default(), ended: OnceLock::new() }
    }

    /// Runs a statement that reads. If the link proves to have been lost meanwhile, once more on a new one.
    ///
    /// # Errors
    /// Why calls are refused; otherwise what the database says.
    pub(crate) async fn query(&self, sql: &'static str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        let (mut lent, is_fresh) = self.lend().await?;
        let error = match lent.link()?.query(sql, parameters).await {
            Ok(rows) => return Ok(rows),
            Err(error) => error,
        };
        if !ends_link(&error) {
            return Err(failed(&error, Call::Read));
        }
        lent.link = None;
        if is_fresh {
            return Err(failed(&error, Call::Read));
        }
        self.idle.lock().clear();
        lent.link = Some(Link::connect(&self.options).await?);
        lent.link()?.query(sql, parameters).await.map_err(|error| {
            lent.link = None;
            failed(&error, Call::Read)
        })
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
        Ok((Lent { readers: self, link: Some(link), _turn: turn }, is_fresh))
    }

    /// # Errors
    /// Why calls are refused: the store was closed or is poisoned.
    pub(crate) fn is_open(&self) -> Result<()> {
        self.ended.get().map_or(Ok(()), |why| Err(why.clone()))
    }

    /// Refuses every call from now on. The first reason counts.
    pub(crate) fn end(&self, why: StoreError) {
        let _ = self.ended.set(why);
        self.idle.lock().clear();
    }
}

/// A link that goes back when it is dropped, unless it was lost. An answer that nobody waits for any more is thrown away
/// by what carries the link.
#[derive(Debug)]
pub(crate) struct Lent<'a> {
    readers: &'a Readers,
    link: Option<Link>,
    _turn: OwnedSemaphorePermit,
}

impl Lent<'_> {
    fn link(&self) -> Result<&Link> {
        self.link.as_ref().ok_or(StoreError::Closed)
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
            && self.readers.is_open().is_ok()
        {
            self.readers.idle.lock().push(link);
        }
    }
}
