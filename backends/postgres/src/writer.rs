//! The one link that writes, and the number that this process has in the store.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use slipstream_store::{Batch, Horizon, Outcome, PeerId, Purged, Result, StoreError};
use tokio::time::Instant;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::copies::Copies;
use crate::errors::{Call, NAMES_ITS_OWN, damaged_peer, doubtful, ends_link, failed, only, unreadable};
use crate::guarantee::Watched;
use crate::link::Link;
use crate::membership::{Heard, Interleaved};
use crate::options::PostgresOptions;
use crate::plan::{Caller, Done, Order, Plan, millis};
use crate::vacuum::Garbage;
use crate::wake::Wake;
use crate::{schema, sequences};

/// All 52 parameters of the function, in its order.
const COMMIT: &str = "SELECT * FROM slipstream.commit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, \
                      $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, \
                      $34, $35, $36, $37, $38, $39, $40, $41, $42, $43, $44, $45, $46, $47, $48, $49, $50, $51, $52)";
const PURGE: &str = "SELECT * FROM slipstream.purge($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const ENTER: &str = "SELECT origin, roster, next_pack FROM slipstream.enter($1, $2)";
const LEAVE: &str = "SELECT slipstream.leave($1)";

/// A statement that takes longer is a reason to look at what the server waits for.
const SLOW: Duration = Duration::from_secs(2);

/// Who writes. Calls come one at a time.
#[derive(Debug)]
pub(crate) struct Writer {
    options: PostgresOptions,
    link: Option<Link>,
    origin: i64,
    /// The next pack after the last commit that recorded something.
    last_pack: i64,
    interleaved: Arc<Interleaved>,
    wake: Arc<Wake>,
    garbage: Garbage,
    copies: Copies,
    guarantee: Arc<Watched>,
}

/// A process that has just entered a store.
#[derive(Debug)]
pub(crate) struct Entered {
    pub(crate) writer: Writer,
    pub(crate) origin: i64,
    /// What had happened before it.
    pub(crate) heard: Heard,
    /// What has gone by what it writes.
    pub(crate) garbage: Garbage,
    pub(crate) interleaved: Arc<Interleaved>,
    pub(crate) wake: Arc<Wake>,
}

impl Writer {
    /// Connects, prepares the schema unless it `makes` the store, and enters this process.
    ///
    /// # Errors
    /// As [`schema::prepare`].
    pub(crate) async fn open(options: PostgresOptions, guarantee: Arc<Watched>, makes: bool) -> Result<Entered> {
        let mut link = Link::connect(&options).await?;
        if !makes {
            schema::prepare(&mut link, options.may_make()).await?;
        }
        let program = concat!("slipstream ", env!("CARGO_PKG_VERSION"));
        let rows = link.query(ENTER, &[&program, &makes]).await.map_err(|error| failed(&error, Call::Write))?;
        let row = only(&rows)?;
        let get = || -> Result<_, tokio_postgres::Error> { Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)) };
        let (origin, roster, pack) = get().map_err(|error| unreadable(&error))?;
        let (interleaved, wake) = (Arc::new(Interleaved::default()), Arc::new(Wake::new(options.clone(), origin)));
        let garbage = Garbage::new(options.clone());
        let writer = Self {
            copies: Copies::new(options.requires_standby()),
            options,
            link: Some(link),
            origin,
            last_pack: pack,
            interleaved: Arc::clone(&interleaved),
            wake: Arc::clone(&wake),
            garbage: garbage.clone(),
            guarantee,
        };
        Ok(Entered {
            writer,
            origin,
            heard: Heard { pack, roster, looked: Instant::now() },
            garbage,
            interleaved,
            wake,
        })
    }

    /// Commits a batch.
    ///
    /// # Errors
    /// As [`MessageStore::commit`](slipstream_store::MessageStore::commit).
    pub(crate) async fn commit(&mut self, batch: &Batch) -> Result<Vec<Outcome>> {
        let routed_by = batch.routed_by.map(|roster| i64::try_from(roster.0).unwrap_or(i64::MAX));
        let caller = Caller { origin: self.origin, routed_by, last_pack: self.last_pack };
        for order in [Order::Free, Order::Strict] {
            let mut plan = Plan::of(batch, order)?;
            let mut done = match self.write(COMMIT, &plan.parameters.values(&caller)).await {
                Ok(rows) => Done::try_from(only(&rows)?)?,
                Err(Refused::NamesItsOwn) => continue,
                Err(Refused::For(error)) => return Err(error),
            };
            self.garbage.add(done.freed);
            if let Some(hint) = plan.hint(&done) {
                self.wake.ring(hint);
            }
            if let Some((next_pack, owed)) = done.recorded.take() {
                self.last_pack = next_pack;
                self.interleaved.add(owed);
            }
            return plan.outcomes(&done);
        }
        Err(StoreError::Corrupted("a batch in strict order was refused for its order".to_owned()))
    }

    /// Purges.
    ///
    /// # Errors
    /// As [`MessageStore::purge`](slipstream_store::MessageStore::purge).
    pub(crate) async fn purge(&mut self, horizon: Horizon, budget: u32) -> Result<Purged> {
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

    /// Leaves the store. If that fails, what is this process's stays so until others retire it.
    pub(crate) async fn leave(&mut self) {
        let origin = self.origin;
        if let Err(error) = self.write(LEAVE, &[&origin]).await {
            tracing::warn!("the store was closed, but its entry stays: {}", StoreError::from(error));
        }
        self.link = None;
    }

    /// Runs a statement that writes, on the link that there is or on a new one. A link that is lost is not used again.
    async fn write(&mut self, sql: &'static str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Refused> {
        let link = match self.link.take().filter(|link| !link.is_closed()) {
            Some(link) => link,
            None => self.reconnect().await.map_err(Refused::For)?,
        };
        if let Err(error) = self.copies.expect(&link).await {
            self.link = Some(link);
            return Err(Refused::For(error));
        }
        link.take_doubt();
        let answered = {
            let mut query = pin!(self.copies.query(&link, sql, parameters));
            loop {
                match tokio::time::timeout(SLOW, &mut query).await {
                    Ok(answered) => break answered,
                    // It may wait for a standby that is not there.
                    Err(_) => self.guarantee.look_soon(),
                }
            }
        };
        match answered {
            Ok(_) if link.take_doubt() || self.copies.are_missing() => Err(Refused::For(doubtful())),
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

    async fn reconnect(&mut self) -> Result<Link> {
        self.copies.forget();
        self.guarantee.look_soon();
        Link::connect(&self.options).await
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
            Refused::NamesItsOwn => Self::Corrupted("what has no order was refused for it".to_owned()),
            Refused::For(error) => error,
        }
    }
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
    let expired = peers.iter().zip(numbers);
    let expired =
        expired.map(|(peer, number)| Ok((PeerId::new(peer).map_err(damaged_peer)?, sequences::read(number)?)));
    let purged = Purged { expired: expired.collect::<Result<_>>()?, removed: removed.unsigned_abs(), more };
    Ok((purged, gone.unsigned_abs()))
}

/// A writer that is shared by the calls that wait for their turn.
pub(crate) type SharedWriter = Arc<tokio::sync::Mutex<Writer>>;
