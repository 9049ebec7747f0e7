//! Commits only while the server waits for a synchronous standby, where that is required.
//!
//! Whoever manages a server may take the requirement off it: Patroni does, unless it is strict, once no standby is left. Then
//! the server answers commits that still wait as if they had succeeded, without a warning. So its settings are looked at
//! behind each commit, in the same round trip. The server tells its sessions of new settings before it lets commits go.

use slipstream_store::{Result, StoreError};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

use crate::errors::{Call, failed, only, unreadable};
use crate::link::Link;

/// Whether a commit now waits until a standby has it on its disk, and the server itself too.
const MADE: &str = "
    SELECT current_setting('synchronous_standby_names') <> '' AND current_setting('fsync') = 'on'
           AND current_setting('synchronous_commit') IN ('on', 'remote_apply')";

const MISSING: &str = "a synchronous standby is required (SLIPSTREAM_REQUIRE), and PostgreSQL waits for none: expected                        synchronous_standby_names to name one, with fsync on and synchronous_commit on or remote_apply";

/// What is known of the copies that the server makes of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Copies {
    NotRequired,
    /// It must be looked at before anything is written.
    Unknown,
    /// They were made when it was looked at last.
    Made,
}

impl Copies {
    pub(crate) fn new(required: bool) -> Self {
        if required { Self::Unknown } else { Self::NotRequired }
    }

    /// The next link may lead to another server.
    pub(crate) fn forget(&mut self) {
        if *self == Self::Made {
            *self = Self::Unknown;
        }
    }

    /// Whether what was written last may be without a copy that is required.
    pub(crate) fn are_missing(self) -> bool {
        self == Self::Unknown
    }

    /// Looks, unless they were made when it was looked at last.
    ///
    /// # Errors
    /// `Unavailable` if there is none; nothing was written.
    pub(crate) async fn expect(&mut self, link: &Link) -> Result<()> {
        if *self != Self::Unknown {
            return Ok(());
        }
        if are_made(link).await? {
            *self = Self::Made;
            return Ok(());
        }
        Err(StoreError::Unavailable(MISSING.to_owned()))
    }

    /// Runs a statement that writes, and looks behind it.
    pub(crate) async fn query(
        &mut self,
        link: &Link,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        if *self == Self::NotRequired {
            return link.query(sql, parameters).await;
        }
        // Once both are prepared, both are sent at once and in this order.
        link.prepare(sql).await?;
        let (answered, made) = tokio::join!(biased; link.query(sql, parameters), are_made(link));
        *self = if made == Ok(true) { Self::Made } else { Self::Unknown };
        answered
    }
}

async fn are_made(link: &Link) -> Result<bool> {
    let rows = link.query(MADE, &[]).await.map_err(|error| failed(&error, Call::Read))?;
    only(&rows)?.try_get(0).map_err(|error| unreadable(&error))
}
