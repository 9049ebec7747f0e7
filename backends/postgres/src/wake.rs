//! What wakes those who wait for news: a notification, sent and heard over a connection of its own. It may get lost, for
//! whoever waits also looks now and then; so no commit waits for one to be sent, and none for a standby.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use slipstream_store::{Result, StoreError};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::errors::unconnected;
use crate::link::Link;
use crate::options::PostgresOptions;

/// Least time between two notifications. What happens within it is told by one.
const PAUSE: Duration = Duration::from_millis(5);

/// Time after which a connection that was lost is made again.
const AGAIN: Duration = Duration::from_secs(1);

const LISTEN: &str = "SET synchronous_commit = off; LISTEN slipstream";
const NOTIFY: &str = "NOTIFY slipstream";

/// The connection that notifications go over, from the first use on until this is dropped.
#[derive(Debug)]
pub(crate) struct Wake {
    options: PostgresOptions,
    bells: Arc<Bells>,
    task: OnceLock<AbortHandle>,
    has_others: AtomicBool,
}

#[derive(Debug, Default)]
struct Bells {
    /// Others are to be woken.
    ring: Notify,
    /// Others have something to tell.
    heard: Arc<Notify>,
}

impl Wake {
    pub(crate) fn new(options: PostgresOptions) -> Self {
        Self { options, bells: Arc::default(), task: OnceLock::new(), has_others: AtomicBool::new(false) }
    }

    /// Says whether there are others to be woken.
    pub(crate) fn set_others(&self, has_others: bool) {
        self.has_others.store(has_others, Ordering::Relaxed);
    }

    /// Wakes the others soon, if there are any.
    pub(crate) fn ring(&self) {
        if self.has_others.load(Ordering::Relaxed) {
            self.begin();
            self.bells.ring.notify_one();
        }
    }

    /// Waits until another rings, at most so long.
    pub(crate) async fn heard(&self, most: Duration) {
        self.begin();
        let _ = tokio::time::timeout(most, self.bells.heard.notified()).await;
    }

    /// Ends it.
    pub(crate) fn end(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }

    fn begin(&self) {
        self.task.get_or_init(|| {
            let (options, bells) = (self.options.clone(), Arc::clone(&self.bells));
            tokio::spawn(carry(options, bells)).abort_handle()
        });
    }
}

impl Drop for Wake {
    fn drop(&mut self) {
        self.end();
    }
}

async fn carry(options: PostgresOptions, bells: Arc<Bells>) {
    loop {
        if let Err(error) = notify(&options, &bells).await {
            tracing::debug!("notifications ended: {error}");
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Listens, and notifies whenever it is asked to, until the connection is lost.
async fn notify(options: &PostgresOptions, bells: &Bells) -> Result<(), StoreError> {
    let link = Link::listening(options, Arc::clone(&bells.heard)).await?;
    let run = async |sql| link.client().batch_execute(sql).await.map_err(|error| unconnected(&error));
    run(LISTEN).await?;
    // Something may have happened while nobody listened.
    bells.heard.notify_one();
    loop {
        match tokio::time::timeout(AGAIN, bells.ring.notified()).await {
            Ok(()) => run(NOTIFY).await?,
            Err(_) if link.is_closed() => return Err(StoreError::Unavailable("the link was lost".to_owned())),
            Err(_) => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
}
