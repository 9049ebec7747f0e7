//! The one link that writes, and the number that this process has in the store.

use std::sync::Arc;

use slipstream_store::{Batch, Horizon, Outcome, PeerId, Purged, Result, StoreError, Timestamp};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::errors::{Call, NAMES_ITS_OWN, ends_link, failed, unreadable};
use crate::link::Link;
use crate::options::PostgresOptions;
use crate::plan::{Done, Order, Plan};
use crate::vacuum::Garbage;
use crate::{schema, sequences};

/// All 47 parameters of the function, in its order.
const COMMIT: &str = "SELECT * FROM slipstream.commit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, \
                      $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, \
                      $35, $36, $37, $38, $39, $40, $41, $42, $43, $44, $45, $46, $47)";
const PURGE: &str = "SELECT * FROM slipstream.purge($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const ENTER: &str = "INSERT INTO slipstream.process (program) VALUES ($1) RETURNING origin";
const LEAVE: &str = "DELETE FROM slipstream.process WHERE origin = $1";

/// Who writes. Calls come one at a time.
#[derive(Debug)]
pub(crate) struct Writer {
    options: PostgresOptions,
    link: Option<Link>,
    origin: i64,
    garbage: Garbage,
}

impl Writer {
    /// Connects, prepares the schema and enters this process.
    ///
    /// # Errors
    /// As [`schema::prepare`].
    pub(crate) async fn open(options: PostgresOptions) -> Result<(Self, slipstream_store::Guarantee)> {
        let mut link = Link::connect(&options).await?;
        schema::prepare(&mut link).await?;
        let guarantee = schema::guarantee(&link).await?;
        let program = concat!("slipstream ", env!("CARGO_PKG_VERSION"));
        let rows = link.query(ENTER, &[&program]).await.map_err(|error| failed(&error, Call::Write))?;
        let origin = only(&rows)?.try_get(0).map_err(|error| unreadable(&error))?;
        let writer = Self { options, link: Some(link), origin, garbage: Garbage::default() };
        Ok((writer, guarantee))
    }

    /// Commits a batch.
    ///
    /// # Errors
    /// As [`MessageStore::commit`](slipstream_store::MessageStore::commit).
    pub(crate) async fn commit(&mut self, batch: &Batch) -> Result<Vec<Outcome>> {
        if batch.operations.is_empty() {
            return Ok(Vec::new());
        }
        for order in [Order::Free, Order::Strict] {
            let mut plan = Plan::of(batch, order)?;
            let origin = self.origin;
            let done = match self.write(COMMIT, &plan.parameters.values(&origin)).await {
                Ok(rows) => Done::try_from(only(&rows)?)?,
                Err(Refused::NamesItsOwn) => continue,
                Err(Refused::For(error)) => return Err(error),
            };
            self.garbage.add(done.freed);
            return plan.outcomes(&done);
        }
        Err(StoreError::Corrupted("a batch in strict order was refused for its order".to_owned()))
    }

    /// Purges.
    ///
    /// # Errors
    /// As [`MessageStore::purge`](slipstream_store::MessageStore::purge).
    pub(crate) async fn purge(&mut self, horizon: Horizon, budget: u32) -> Result<Purged> {
        let millis = |time: Timestamp| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let most = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let parameters: [&(dyn ToSql + Sync); 9] = [
            &self.origin.clone(),
            &millis(horizon.now),
            &millis(horizon.expiries),
            &millis(horizon.identities),
            &most(horizon.max_identities),
            &millis(horizon.stamps),
            &millis(horizon.traces),
            &most(horizon.max_trace_bytes),
            &i64::from(budget),
        ];
        let rows = self.write(PURGE, &parameters).await.map_err(StoreError::from)?;
        let (purged, gone) = purged(only(&rows)?)?;
        self.garbage.add_messages(gone);
        Ok(purged)
    }

    /// Leaves the store. If that fails, its entry stays, which costs a row.
    pub(crate) async fn leave(&mut self) {
        if let Some(link) = self.link.take()
            && let Err(error) = link.query(LEAVE, &[&self.origin]).await
        {
            tracing::warn!("the store was closed, but its entry stays: {}", failed(&error, Call::Read));
        }
    }

    /// Has the space used again that was freed, if that is much.
    pub(crate) fn collect(&self) {
        self.garbage.collect(&self.options);
    }

    /// Runs a statement that writes, on the link that there is or on a new one. A link that is lost is not used again.
    async fn write(&mut self, sql: &'static str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Refused> {
        let link = match self.link.take().filter(|link| !link.is_closed()) {
            Some(link) => link,
            None => Link::connect(&self.options).await.map_err(Refused::For)?,
        };
        link.take_doubt();
        match link.query(sql, parameters).await {
            Ok(_) if link.take_doubt() => {
                let text = "PostgreSQL warned while it committed; its log says what of";
                Err(Refused::For(StoreError::Indeterminate(text.to_owned())))
            }
            Ok(rows) => {
                self.link = Some(link);
                Ok(rows)
            }
            Err(error) => {
                let names_its_own = error.code().is_some_and(|code| code.code() == NAMES_ITS_OWN);
                if !ends_link(&error) {
                    self.link = Some(link);
                }
                Err(if names_its_own { Refused::NamesItsOwn } else { Refused::For(failed(&error, Call::Write)) })
            }
        }
    }
}

/// Why a statement was refused.
enum Refused {
    /// The batch is to be planned in its strict order.
    NamesItsOwn,
    For(StoreError),
}

impl From<Refused> for StoreError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NamesItsOwn => Self::Corrupted("a purge was refused for its order".to_owned()),
            Refused::For(error) => error,
        }
    }
}

/// The row of a statement that answers one.
fn only(rows: &[Row]) -> Result<&Row> {
    rows.first().ok_or_else(|| StoreError::Corrupted("PostgreSQL answered no row".to_owned()))
}

/// What a purge did, and how many rows of messages went.
fn purged(row: &Row) -> Result<(Purged, u64)> {
    let get = || -> Result<_, tokio_postgres::Error> {
        let peers: Vec<String> = row.try_get("peers")?;
        let numbers: Vec<i64> = row.try_get("sequences")?;
        let removed: i64 = row.try_get("removed")?;
        Ok((peers, numbers, removed, row.try_get("more")?, row.try_get::<_, i64>("rows_gone")?))
    };
    let (peers, numbers, removed, more, gone) = get().map_err(|error| unreadable(&error))?;
    let damaged = |error: slipstream_store::InvalidId| StoreError::Corrupted(format!("a peer: {error}"));
    let expired = peers.iter().zip(numbers);
    let expired = expired.map(|(peer, number)| Ok((PeerId::new(peer).map_err(damaged)?, sequences::read(number)?)));
    let purged = Purged { expired: expired.collect::<Result<_>>()?, removed: removed.unsigned_abs(), more };
    Ok((purged, gone.unsigned_abs()))
}

/// A writer that is shared by the calls that wait for their turn.
pub(crate) type SharedWriter = Arc<tokio::sync::Mutex<Writer>>;
