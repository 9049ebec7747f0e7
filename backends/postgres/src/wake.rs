//! What wakes those who wait for news: a notification with a [hint](crate::hints), sent and heard over a connection of its
//! own. It may get lost, for whoever waits also looks now and then; so no commit waits for one to be sent, and none for a
//! standby.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use slipstream_store::{PeerId, Result, StoreError};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::errors::unconnected;
use crate::hints::{Ear, Hint, Made, Outbox};
use crate::link::Link;
use crate::options::PostgresOptions;

/// Least time between two notifications. What happens within it is told by one.
const PAUSE: Duration = Duration::from_millis(1);

/// Time after which a connection that was lost is made again.
const AGAIN: Duration = Duration::from_secs(1);

const LISTEN: &str = "SET synchronous_commit = off; LISTEN slipstream";
const NOTIFY: &str = "SELECT pg_notify('slipstream', $1)";

/// The connection that notifications go over, from the first use on until this is dropped.
#[derive(Debug)]
pub(crate) struct Wake {
    options: PostgresOptions,
    bells: Arc<Bells>,
    task: OnceLock<AbortHandle>,
    has_others: AtomicBool,
}

#[derive(Debug)]
struct Bells {
    /// Others are to be woken, and told this.
    ring: Notify,
    outbox: Outbox,
    ear: Arc<Ear>,
}

impl Wake {
    /// For the process of this origin.
    pub(crate) fn new(options: PostgresOptions, origin: i64) -> Self {
        let ear = Arc::new(Ear::of(origin));
        let bells = Arc::new(Bells { ring: Notify::new(), outbox: Outbox::default(), ear });
        Self { options, bells, task: OnceLock::new(), has_others: AtomicBool::new(false) }
    }

    /// Says whether there are others to be woken.
    pub(crate) fn set_others(&self, has_others: bool) {
        self.has_others.store(has_others, Ordering::Relaxed);
    }

    /// Wakes the others soon, if there are any.
    pub(crate) fn ring(&self, hint: Hint) {
        if self.has_others.load(Ordering::Relaxed) {
            self.begin();
            if let Hint::Made(made) = &hint {
                // This process knows of its own.
                self.bells.ear.inbox.add(Hint::Made(Made { peers: BTreeSet::new(), ..*made }));
            }
            self.bells.outbox.add(hint);
            self.bells.ring.notify_one();
        }
    }

    /// Takes what was heard, as [`Inbox::take`].
    pub(crate) fn take(&self, pack: i64) -> Option<(i64, BTreeSet<PeerId>)> {
        self.bells.ear.inbox.take(pack)
    }

    /// Waits until another rings, at most so long.
    pub(crate) async fn heard(&self, most: Duration) {
        self.begin();
        let _ = tokio::time::timeout(most, self.bells.ear.heard.notified()).await;
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
    let link = Link::listening(options, Some(Arc::clone(&bells.ear))).await?;
    link.client().batch_execute(LISTEN).await.map_err(|error| unconnected(&error))?;
    // Something may have happened while nobody listened.
    bells.ear.inbox.add(Hint::Look);
    bells.ear.heard.notify_one();
    loop {
        // Now and then it is looked whether the link is there, also if there is nothing to tell.
        let _ = tokio::time::timeout(AGAIN, bells.ring.notified()).await;
        if let Some(hint) = bells.outbox.take() {
            let text = hint.write(bells.ear.own);
            link.query(NOTIFY, &[&text]).await.map_err(|error| unconnected(&error))?;
        }
        if link.is_closed() {
            return Err(StoreError::Unavailable("the link was lost".to_owned()));
        }
        tokio::time::sleep(PAUSE).await;
    }
}
