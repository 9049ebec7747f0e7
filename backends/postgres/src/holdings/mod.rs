//! What a store holds, as of one state, while nobody writes to it.

mod guard;
mod pack;
mod page;
mod reading;

use std::time::Duration;

use async_trait::async_trait;
use slipstream_store::{
    HeldMessage, HeldOnce, HeldStamps, Holdings, PeerId, Result, Sequence, Stamp, StoreError, Timestamp,
};
use tokio_postgres::Row;
use ulid::Ulid;

use self::reading::Reading;
use crate::bits::Bits;
use crate::errors::{damaged_peer, only, unreadable};
use crate::link::Link;
use crate::options::PostgresOptions;
use crate::pages::time;
use crate::sequences::{self, PACK};
use crate::{look, schema};

/// Rows of stamps on a page.
const STAMP_ROWS: i64 = 64;

const ONCE: &str = "SELECT whole_since, identities_from,
                           EXISTS (SELECT FROM slipstream.message WHERE fingerprint IS NULL) FROM slipstream.head";
const ROSTER: &str = "SELECT * FROM slipstream.roster()";
const STAMPS: &str = "SELECT epoch, block, bits, received FROM slipstream.seen
                      WHERE $1::bytea IS NULL OR (epoch, block) > ($1, $2) ORDER BY epoch, block LIMIT $3";

/// What a store in PostgreSQL holds. Until this is dropped nobody commits to that store, purges it or joins its members: who
/// tries waits for a lock, for ten seconds, and is then told that the store is busy.
#[derive(Debug)]
pub struct PostgresHoldings {
    reading: Reading,
    identities_from: Option<i64>,
}

impl PostgresHoldings {
    /// What the store in this database holds, which nobody must have open. A process that has not closed it counts as gone
    /// if it does not beat for so long.
    ///
    /// # Errors
    /// `InUse` if a process has the store open; `Unsupported` if there is none; `Inaccessible` if a migration has not finished
    /// it; `Busy` if a commit is under way that takes long; otherwise as [`PostgresStore::open`](crate::PostgresStore::open).
    pub async fn open(options: PostgresOptions, silent_for: Duration) -> Result<Self> {
        let mut link = Link::connect(&options).await?;
        schema::expect_store(&mut link).await?;
        guard::keep_others_out(&link, silent_for).await?;
        Ok(Self { reading: Reading::of(link), identities_from: None })
    }

    /// What a store holds that is being made, and that only whoever makes it has.
    pub(crate) async fn of_unfinished(options: &PostgresOptions) -> Result<Self> {
        let link = Link::connect(options).await?;
        guard::begin(&link).await?;
        Ok(Self { reading: Reading::of(link), identities_from: None })
    }

    /// Whether others have been kept out until now.
    ///
    /// # Errors
    /// `Unavailable` if the link was lost: what was read may be old.
    pub async fn are_whole(&self) -> Result<()> {
        self.reading.query(ONCE, &[]).await.map(drop)
    }

    async fn identities_from(&mut self) -> Result<i64> {
        if let Some(known) = self.identities_from {
            return Ok(known);
        }
        let rows = self.reading.query(ONCE, &[]).await?;
        let from = only(&rows)?.try_get(1).map_err(|error| unreadable(&error))?;
        Ok(*self.identities_from.insert(from))
    }
}

#[async_trait(?Send)]
impl Holdings for PostgresHoldings {
    async fn once(&mut self) -> Result<HeldOnce> {
        let rows = self.reading.query(ONCE, &[]).await?;
        let row = only(&rows)?;
        let get = || -> Result<_, tokio_postgres::Error> { Ok((row.try_get(0)?, row.try_get(2)?)) };
        let (whole_since, has_imports) = get().map_err(|error| unreadable(&error))?;
        let mut once = HeldOnce { whole_since: time(whole_since), has_imports, ..HeldOnce::default() };
        for row in &self.reading.query(ROSTER, &[]).await? {
            let relay: Option<&str> = row.try_get("relay").map_err(|error| unreadable(&error))?;
            once.relay = relay.map(PeerId::new).transpose().map_err(damaged_peer)?;
            // Without peers there is one row, of the relay alone.
            if row.try_get::<_, Option<&str>>("id").map_err(|error| unreadable(&error))?.is_some() {
                once.peers.push(look::remembered(row)?.peer);
            }
        }
        Ok(once)
    }

    async fn stamps(&mut self, after: Option<Stamp>) -> Result<Vec<HeldStamps>> {
        let epoch = after.map(|after| after.epoch.to_bytes().to_vec());
        let block = after.map_or(0, |after| (after.number / PACK).cast_signed());
        let rows = self.reading.query(STAMPS, &[&epoch, &block, &STAMP_ROWS]).await?;
        rows.iter().map(stamps).collect()
    }

    async fn messages(&mut self, after: Option<Sequence>) -> Result<Vec<HeldMessage>> {
        let identities_from = self.identities_from().await?;
        let mut from = match after.map(sequences::place) {
            None => 0,
            Some(Some((pack, _))) => pack + 1,
            Some(None) => return Ok(Vec::new()),
        };
        loop {
            let packs = page::packs(&self.reading, from).await?;
            let Some(last) = packs.last() else { return Ok(Vec::new()) };
            from = last + 1;
            let page = page::read(&self.reading, &packs, identities_from).await?;
            if !page.is_empty() {
                return Ok(page);
            }
        }
    }
}

fn stamps(row: &Row) -> Result<HeldStamps> {
    let get = || -> Result<_, tokio_postgres::Error> {
        Ok((row.try_get::<_, &[u8]>(0)?, row.try_get::<_, i64>(1)?, row.try_get::<_, Bits>(2)?, row.try_get(3)?))
    };
    let (epoch, block, bits, received) = get().map_err(|error| unreadable(&error))?;
    let epoch = epoch.try_into().map_err(|_| StoreError::Corrupted("an epoch of another length".to_owned()))?;
    let first = block.cast_unsigned().wrapping_mul(PACK);
    let numbers = bits.ones().map(|index| first + index as u64).collect();
    let latest: Timestamp = time(received);
    Ok(HeldStamps { epoch: Ulid::from_bytes(epoch), numbers, latest })
}
