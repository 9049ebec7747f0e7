//! The schema: made where there is none, brought up to date, and refused where it is not this program's.

use slipstream_store::{Result, StoreError};
use tokio_postgres::Transaction;

use crate::errors::{Call, failed, in_use, unreadable};
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

/// While a store is made, its version is negative.
const TURN: &str = "UPDATE slipstream.head SET schema_version = -schema_version";

const DROP: &str = "DROP SCHEMA slipstream CASCADE";

/// Who is joining the store is waited for, and nobody else joins it.
const KEEP_OUT: &str = "LOCK TABLE slipstream.process IN ACCESS EXCLUSIVE MODE";

/// Whether there is nothing in the store, and whether a process has it open.
const IS_EMPTY: &str = "
    SELECT h.next_pack = 0 AND h.relay IS NULL AND NOT EXISTS (SELECT FROM slipstream.peer)
           AND NOT EXISTS (SELECT FROM slipstream.seen),
           EXISTS (SELECT FROM slipstream.process)
    FROM slipstream.head h";

const NOT_EMPTY: &str = "there is a store in this database already: nothing was changed";

/// What a database has of the name of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum There {
    Nothing,
    /// A store, whose schema has this version.
    Store(usize),
    /// A store that was begun and not finished.
    Unfinished,
}

/// Makes the schema, or brings it up to date, in one transaction. If it is as it should be, nothing is written.
///
/// # Errors
/// `Unsupported` if the schema is another program's or of a later version, the server too old, or nothing is there and
/// none may be made; `Inaccessible` if a migration has not finished it.
pub(crate) async fn prepare(link: &mut Link, may_make: bool) -> Result<()> {
    let transaction = begin(link).await?;
    match there(&transaction).await? {
        There::Unfinished => return Err(unfinished()),
        There::Nothing if !may_make => return Err(nothing()),
        There::Nothing => bring_up(&transaction, 0).await?,
        There::Store(version) => bring_up(&transaction, version).await?,
    }
    transaction.commit().await.map_err(|error| write(&error))
}

/// That there is a store, of this version or an earlier one; it is left as it is.
///
/// # Errors
/// As [`prepare`] where none may be made.
pub(crate) async fn expect_store(link: &mut Link) -> Result<()> {
    let transaction = begin(link).await?;
    match there(&transaction).await? {
        There::Store(_) => transaction.commit().await.map_err(|error| write(&error)),
        There::Unfinished => Err(unfinished()),
        There::Nothing => Err(nothing()),
    }
}

/// Begins a store that is to be finished later, in the place of none, of one that was left unfinished, or of one with nothing
/// in it.
///
/// # Errors
/// As [`prepare`]; `InUse` if there is one with nothing in it that a process has open; `Inaccessible` if there is another.
pub(crate) async fn begin_anew(link: &mut Link) -> Result<()> {
    let transaction = begin(link).await?;
    match there(&transaction).await? {
        There::Nothing => {}
        There::Unfinished => transaction.batch_execute(DROP).await.map_err(|error| write(&error))?,
        There::Store(_) => {
            transaction.batch_execute(KEEP_OUT).await.map_err(|error| write(&error))?;
            let row = transaction.query_one(IS_EMPTY, &[]).await.map_err(|error| write(&error))?;
            match (row.try_get(0), row.try_get(1)) {
                (Ok(true), Ok(true)) => return Err(in_use()),
                (Ok(true), Ok(false)) => {}
                _ => return Err(StoreError::Inaccessible(NOT_EMPTY.to_owned())),
            }
            transaction.batch_execute(DROP).await.map_err(|error| write(&error))?;
        }
    }
    bring_up(&transaction, 0).await?;
    transaction.batch_execute(TURN).await.map_err(|error| write(&error))?;
    transaction.commit().await.map_err(|error| write(&error))
}

/// Makes a store of one that was begun.
pub(crate) async fn finish(link: &Link) -> Result<()> {
    link.client().batch_execute(TURN).await.map_err(|error| write(&error))
}

/// Removes one that was begun.
pub(crate) async fn drop_unfinished(link: &Link) -> Result<()> {
    link.client().batch_execute(DROP).await.map_err(|error| write(&error))
}

fn nothing() -> StoreError {
    StoreError::Unsupported("there is no store in this database".to_owned())
}

/// What is said of a store that was begun and not finished.
fn unfinished() -> StoreError {
    StoreError::Inaccessible(
        "a migration into this store was not finished: start it again with the same command, or give it up with \
         DROP SCHEMA slipstream CASCADE"
            .to_owned(),
    )
}

fn write(error: &tokio_postgres::Error) -> StoreError {
    failed(error, Call::Write)
}

/// Begins a transaction in which nobody else makes or changes the schema.
async fn begin(link: &mut Link) -> Result<Transaction<'_>> {
    let version: i32 = setting(link, "server_version_num").await?.parse().unwrap_or_default();
    if version < OLDEST_SERVER {
        return Err(StoreError::Unsupported("PostgreSQL before 14".to_owned()));
    }
    let transaction = link.client_mut().transaction().await.map_err(|error| write(&error))?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.map_err(|error| write(&error))?;
    Ok(transaction)
}

/// Brings the schema from a version to the latest.
async fn bring_up(transaction: &Transaction<'_>, version: usize) -> Result<()> {
    for version in VERSIONS.iter().skip(version) {
        for part in *version {
            transaction.batch_execute(part).await.map_err(|error| write(&error))?;
        }
    }
    Ok(())
}

async fn there(transaction: &Transaction<'_>) -> Result<There> {
    let read = |error: &tokio_postgres::Error| failed(error, Call::Read);
    let row = transaction.query_one(KINDS, &[]).await.map_err(|error| read(&error))?;
    let there = (row.try_get(0), row.try_get(1));
    match (there.0.map_err(|error| unreadable(&error))?, there.1.map_err(|error| unreadable(&error))?) {
        (false, _) => return Ok(There::Nothing),
        (true, false) => {
            let text = "the schema `slipstream` of this database is no store of Slipstream";
            return Err(StoreError::Unsupported(text.to_owned()));
        }
        (true, true) => {}
    }
    let sql = "SELECT schema_version FROM slipstream.head";
    let row = transaction.query_one(sql, &[]).await.map_err(|error| read(&error))?;
    let version: i32 = row.try_get(0).map_err(|error| unreadable(&error))?;
    if version < 0 {
        return Ok(There::Unfinished);
    }
    let known = usize::try_from(version).ok().filter(|known| (1..=VERSIONS.len()).contains(known));
    known.map(There::Store).ok_or_else(|| {
        StoreError::Unsupported(format!("version {version} of the store, which this program does not know"))
    })
}

async fn setting(link: &Link, name: &str) -> Result<String> {
    let row = link.client().query_one("SELECT current_setting($1)", &[&name]).await;
    row.and_then(|row| row.try_get(0)).map_err(|error| failed(&error, Call::Read))
}
