//! The schema: made where there is none, brought up to date, and refused where it is not this program's.

use slipstream_store::{Result, StoreError};
use tokio_postgres::Transaction;

use crate::errors::{Call, failed, unreadable};
use crate::link::Link;

/// What makes each version of the schema of the one before.
const VERSIONS: [&[&str]; 1] = [&[
    include_str!("../schema/1_tables.sql"),
    include_str!("../schema/2_close.sql"),
    include_str!("../schema/3_settle.sql"),
    include_str!("../schema/4_rare.sql"),
    include_str!("../schema/5_commit.sql"),
    include_str!("../schema/6_purge.sql"),
    include_str!("../schema/7_read.sql"),
    include_str!("../schema/8_look.sql"),
    include_str!("../schema/9_shared.sql"),
]];

/// Who makes or changes the schema holds this advisory lock.
const LOCK: i64 = 0x736c_6970_7374_7265;

/// The oldest server whose functions the schema finds.
const OLDEST_SERVER: i32 = 140_000;

/// Whether there is a schema of this name, and whether it is a store.
const KINDS: &str = "SELECT to_regnamespace('slipstream') IS NOT NULL, to_regclass('slipstream.head') IS NOT NULL";

/// Makes the schema, or brings it up to date, in one transaction. If it is as it should be, nothing is written.
///
/// # Errors
/// `Unsupported` if the schema is another program's or of a later version, the server too old, or nothing is there and
/// none may be made.
pub(crate) async fn prepare(link: &mut Link, may_make: bool) -> Result<()> {
    let version: i32 = setting(link, "server_version_num").await?.parse().unwrap_or_default();
    if version < OLDEST_SERVER {
        return Err(StoreError::Unsupported("PostgreSQL before 14".to_owned()));
    }
    let write = |error: &tokio_postgres::Error| failed(error, Call::Write);
    let transaction = link.client_mut().transaction().await.map_err(|error| write(&error))?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.map_err(|error| write(&error))?;
    let known = current(&transaction).await?;
    if known == 0 && !may_make {
        return Err(StoreError::Unsupported("there is no store in this database".to_owned()));
    }
    for version in VERSIONS.iter().skip(known) {
        for part in *version {
            transaction.batch_execute(part).await.map_err(|error| write(&error))?;
        }
    }
    transaction.commit().await.map_err(|error| write(&error))
}

/// The version that is there, or 0.
async fn current(transaction: &Transaction<'_>) -> Result<usize> {
    let read = |error: &tokio_postgres::Error| failed(error, Call::Read);
    let row = transaction.query_one(KINDS, &[]).await.map_err(|error| read(&error))?;
    let there = (row.try_get(0), row.try_get(1));
    match (there.0.map_err(|error| unreadable(&error))?, there.1.map_err(|error| unreadable(&error))?) {
        (false, _) => return Ok(0),
        (true, false) => {
            let text = "the schema `slipstream` of this database is no store of Slipstream";
            return Err(StoreError::Unsupported(text.to_owned()));
        }
        (true, true) => {}
    }
    let sql = "SELECT schema_version FROM slipstream.head";
    let row = transaction.query_one(sql, &[]).await.map_err(|error| read(&error))?;
    let version: i32 = row.try_get(0).map_err(|error| unreadable(&error))?;
    let known = usize::try_from(version).ok().filter(|known| (1..=VERSIONS.len()).contains(known));
    known.ok_or_else(|| {
        StoreError::Unsupported(format!("version {version} of the store, which this program does not know"))
    })
}

async fn setting(link: &Link, name: &str) -> Result<String> {
    let row = link.client().query_one("SELECT current_setting($1)", &[&name]).await;
    row.and_then(|row| row.try_get(0)).map_err(|error| failed(&error, Call::Read))
}
