//! Refuses a pooler between this program and the server that hands sessions from one client to another: settings of a
//! session, prepared statements and notifications would then be another client's.

use slipstream_store::{Result, StoreError};

use crate::errors::{only, unreadable};
use crate::pool::{Lent, Pool};

const SESSION: &str = "SELECT pg_backend_pid()";

/// Two links that are open at once have each a session of their own, unless a pooler lends both the same in turn.
///
/// # Errors
/// `Unsupported` if they have the same; otherwise as those of reading.
pub(crate) async fn refuse(readers: &Pool) -> Result<()> {
    let (first, second) = (readers.lend().await?.0, readers.lend().await?.0);
    let (own, other) = (session(&first).await?, session(&second).await?);
    if own == other || own != session(&first).await? {
        let text = "a pooler such as PgBouncer lends sessions of PostgreSQL by the transaction: expected a direct address, or \
                    pool_mode=session";
        return Err(StoreError::Unsupported(text.to_owned()));
    }
    Ok(())
}

async fn session(lent: &Lent<'_>) -> Result<i32> {
    only(&lent.ask(SESSION).await?)?.try_get(0).map_err(|error| unreadable(&error))
}
