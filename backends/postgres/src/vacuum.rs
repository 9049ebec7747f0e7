//! Vacuum after much was removed, so that its space is used again soon. Autovacuum does the rest: it comes by once a
//! minute, in which a busy store turns over more than it holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;
use tokio_postgres::Error;

use crate::link::Link;
use crate::options::PostgresOptions;

/// What is left is reused once this much has gone, and once it is a quarter of what the tables take.
const LEAST: u64 = 1 << 20;

/// What a row of `message` takes with its indexes, roughly.
const MESSAGE: u64 = 220;

/// What the tables of texts take, and those of messages.
const SIZES: &str = "SELECT pg_total_relation_size('slipstream.pack'), pg_total_relation_size('slipstream.message')";

/// Other vacuums of these tables are not waited for, and readers are not disturbed by a table that gets shorter.
const VACUUM_PACKS: &str = "VACUUM (SKIP_LOCKED, TRUNCATE false) slipstream.pack, slipstream.owed, slipstream.settled, \
                            slipstream.head, slipstream.attempt, slipstream.dead, slipstream.seen";
const VACUUM_MESSAGES: &str = "VACUUM (SKIP_LOCKED, TRUNCATE false) slipstream.message";

/// What has gone since the last vacuum, of texts and of messages. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Garbage {
    options: PostgresOptions,
    kinds: Arc<[Kind; 2]>,
    running: Arc<Mutex<()>>,
}

/// What has gone of one kind, and from when on that is much.
#[derive(Debug, Default)]
struct Kind {
    gone: AtomicU64,
    much: AtomicU64,
}

impl Kind {
    fn is_much(&self) -> bool {
        self.gone.load(Ordering::Relaxed) >= self.much.load(Ordering::Relaxed).max(LEAST)
    }

    /// Vacuums its tables if much of them has gone, by the size that they have now.
    async fn vacuum(&self, link: &Link, size: i64, sql: &str) -> Result<(), Error> {
        self.much.store(size.unsigned_abs() / 4, Ordering::Relaxed);
        if self.is_much() {
            self.gone.store(0, Ordering::Relaxed);
            link.client().batch_execute(sql).await?;
        }
        Ok(())
    }
}

impl Garbage {
    pub(crate) fn new(options: PostgresOptions) -> Self {
        Self { options, kinds: Arc::default(), running: Arc::default() }
    }

    /// Bytes of texts went.
    pub(crate) fn add(&self, bytes: u64) {
        self.kinds[0].gone.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Rows of messages went.
    pub(crate) fn add_messages(&self, rows: u64) {
        self.kinds[1].gone.fetch_add(rows * MESSAGE, Ordering::Relaxed);
    }

    /// Begins a vacuum in the background if much has gone. If so much has gone while one runs, that is waited for first:
    /// otherwise what is purged might outrun it without end.
    pub(crate) async fn collect(&self) {
        if !self.kinds.iter().any(Kind::is_much) {
            return;
        }
        let running = Arc::clone(&self.running).lock_owned().await;
        let Self { options, kinds, .. } = self.clone();
        tokio::spawn(async move {
            if let Ok(link) = Link::connect(&options).await
                && let Err(error) = vacuum(&link, &kinds).await
            {
                tracing::debug!("a vacuum ended: {error}");
            }
            drop(running);
        });
    }
}

async fn vacuum(link: &Link, kinds: &[Kind; 2]) -> Result<(), Error> {
    let rows = link.query(SIZES, &[]).await?;
    let Some(row) = rows.first() else { return Ok(()) };
    kinds[0].vacuum(link, row.try_get(0)?, VACUUM_PACKS).await?;
    kinds[1].vacuum(link, row.try_get(1)?, VACUUM_MESSAGES).await
}
