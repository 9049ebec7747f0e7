//! How others are kept out of a store while it is read as a whole.
//!
//! Whoever joins a store adds its row to `slipstream.process`, and each commit, purge and claim locks the row of its process.
//! So a lock of that table keeps all of them waiting, while the beats of those that live go on.

use std::time::Duration;

use slipstream_store::Result;
use tokio::time::Instant;

use crate::errors::{Call, failed, in_use, unreadable};
use crate::link::Link;

/// How often it is looked whether a process beats.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Nothing was read before the lock, so the state is that of when it was had. The transaction may wait for whoever reads.
const LOCK: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ;
                    SET LOCAL idle_in_transaction_session_timeout = 0;
                    LOCK TABLE slipstream.process IN EXCLUSIVE MODE";
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL idle_in_transaction_session_timeout = 0";
const MEMBERS: &str = "SELECT p.origin, coalesce(b.beats, 0) FROM slipstream.process p
                       LEFT JOIN slipstream.beat b ON b.origin = p.origin ORDER BY p.origin";

/// Begins the transaction in which a store is read to which nobody else writes.
pub(super) async fn begin(link: &Link) -> Result<()> {
    link.client().batch_execute(BEGIN).await.map_err(|error| failed(&error, Call::Read))
}

/// Begins the transaction in which a store is read, with all others kept out. A process that does not beat for so long is
/// gone, and its entry does no harm.
///
/// # Errors
/// `InUse` if a process has the store open: it is not disturbed.
pub(super) async fn keep_others_out(link: &Link, silent_for: Duration) -> Result<()> {
    let before = members(link).await?;
    if !before.is_empty() {
        let begun = Instant::now();
        while begun.elapsed() < silent_for {
            tokio::time::sleep(LOOK_EVERY.min(silent_for)).await;
            if members(link).await? != before {
                return Err(in_use());
            }
        }
    }
    link.client().batch_execute(LOCK).await.map_err(|error| failed(&error, Call::Read))?;
    if members(link).await? == before { Ok(()) } else { Err(in_use()) }
}

/// The processes that have the store open, or were killed while they had, and how often each has beaten.
async fn members(link: &Link) -> Result<Vec<(i64, i64)>> {
    let rows = link.query(MEMBERS, &[]).await.map_err(|error| failed(&error, Call::Read))?;
    let read = |row: &tokio_postgres::Row| Ok((row.try_get(0)?, row.try_get(1)?));
    rows.iter().map(read).collect::<Result<_, _>>().map_err(|error| unreadable(&error))
}
