//! A link to the database: one connection, what is prepared on it, and whether it has told of a doubt.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use slipstream_store::{Durability, Result, StoreError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::error::Severity;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Error, NoTls, Row, Socket, Statement};
use tracing::{debug, warn};

use crate::errors::unconnected;
use crate::hints::Ear;
use crate::options::PostgresOptions;

/// What holds on each connection, whatever the server, the database or the role say. A commit that was cancelled while
/// it waits for a standby looks as if it had succeeded, so nothing cancels a statement; waiting for a lock may end. Plans
/// are made once, for few rows of large tables.
const SETTINGS: &str = "
    SET statement_timeout = 0; SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '60s';
    SET client_min_messages = warning;
    SET default_transaction_isolation = 'read committed'; SET search_path = pg_catalog;
    SET jit = off; SET plan_cache_mode = force_generic_plan;
    SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off";

/// What holds besides where a crash of the server may lose the last moment.
const RELAXED: &str = "SET synchronous_commit = off";

/// A connection that is ready.
#[derive(Debug)]
pub(crate) struct Link {
    client: Client,
    prepared: Mutex<HashMap<&'static str, Statement>>,
    doubt: Arc<AtomicBool>,
}

impl Link {
    /// Connects to the first host that takes writes, within the time that the options give.
    ///
    /// # Errors
    /// `Unavailable`, `Busy` or `Inaccessible`; nothing was done.
    pub(crate) async fn connect(options: &PostgresOptions) -> Result<Self> {
        Self::listening(options, None).await
    }

    /// As [`connect`](Self::connect); notifications that come over it are heard.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub(crate) async fn listening(options: &PostgresOptions, ear: Option<Arc<Ear>>) -> Result<Self> {
        let mut refusals = Vec::new();
        for (number, host) in options.hosts() {
            let longest = options.longest_connect();
            let connecting = tokio::time::timeout(longest, Self::connect_and_set(options, host, ear.clone()));
            let connected = connecting.await.unwrap_or_else(|_| {
                Err(StoreError::Unavailable(format!("PostgreSQL did not let a link be made within {longest:?}")))
            });
            match connected {
                Ok(link) => {
                    options.prefer(number);
                    return Ok(link);
                }
                Err(error) => refusals.push(error),
            }
        }
        Err(all_refused(refusals))
    }

    async fn connect_and_set(options: &PostgresOptions, host: &Config, ear: Option<Arc<Ear>>) -> Result<Self> {
        let told = Told { doubt: Arc::new(AtomicBool::new(false)), ear };
        let client = match options.tls(host)? {
            Some(tls) => connect(host, tls, &told).await,
            None => connect(host, NoTls, &told).await,
        };
        let client = client.map_err(|error| unconnected(&error))?;
        client.batch_execute(SETTINGS).await.map_err(|error| unconnected(&error))?;
        if options.asks_for() == Durability::Relaxed {
            client.batch_execute(RELAXED).await.map_err(|error| unconnected(&error))?;
        }
        Ok(Self { client, prepared: Mutex::default(), doubt: told.doubt })
    }

    /// Runs a statement, which is prepared on its first use.
    pub(crate) async fn query(&self, sql: &'static str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Error> {
        self.client.query(&self.prepare(sql).await?, parameters).await
    }

    /// Prepares a statement, unless it is prepared already.
    pub(crate) async fn prepare(&self, sql: &'static str) -> Result<Statement, Error> {
        if let Some(known) = self.prepared.lock().get(sql) {
            return Ok(known.clone());
        }
        let statement = self.client.prepare(sql).await?;
        self.prepared.lock().insert(sql, statement.clone());
        Ok(statement)
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn client_mut(&mut self) -> &mut Client {
        &mut self.client
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Whether the server has warned, since it was asked last, that what it calls committed may not be so everywhere.
    pub(crate) fn take_doubt(&self) -> bool {
        self.doubt.swap(false, Ordering::AcqRel)
    }
}

/// Why none of the hosts would do. If one may do later, so may the store.
fn all_refused(mut refusals: Vec<StoreError>) -> StoreError {
    let last = refusals.pop();
    match last {
        Some(only) if refusals.is_empty() => only,
        last => {
            let all: Vec<_> = refusals.into_iter().chain(last).collect();
            let told = all.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            match all.iter().any(StoreError::is_transient) {
                true => StoreError::Unavailable(format!("none of {} hosts takes writes: {told}", all.len())),
                false => StoreError::Inaccessible(format!("none of {} hosts lets this user in: {told}", all.len())),
            }
        }
    }
}

/// What a connection is told beside answers.
#[derive(Debug, Clone)]
struct Told {
    doubt: Arc<AtomicBool>,
    ear: Option<Arc<Ear>>,
}

/// Makes a connection, which a task carries.
async fn connect<T>(host: &Config, tls: T, told: &Told) -> Result<Client, Error>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let (client, connection) = host.connect(tls).await?;
    tokio::spawn(drive(connection, told.clone()));
    Ok(client)
}

/// Carries a connection until it ends. A warning comes before the answer that it is about, so that it is noted before
/// the answer is seen.
async fn drive<S, T>(mut connection: Connection<S, T>, told: Told)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
        match message {
            Ok(AsyncMessage::Notice(notice)) if notice.parsed_severity() == Some(Severity::Warning) => {
                told.doubt.store(true, Ordering::Release);
                warn!(code = notice.code().code(), "PostgreSQL warns: {}", notice.message());
            }
            Ok(AsyncMessage::Notification(said)) => told.ear.iter().for_each(|ear| ear.hear(said.payload())),
            Ok(_) => {}
            Err(error) => {
                debug!("a link to PostgreSQL ended: {error}");
                return;
            }
        }
    }
}
