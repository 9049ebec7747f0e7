//! Committing against a store that does not succeed at once: each error is answered as its documentation asks.

use std::sync::Arc;
use std::time::Duration;

use slipstream_store::{Batch, MessageStore, Outcome, Result, StoreError};
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::Committer;
use super::batch::{Committed, Filling, Rest, Waiting};

/// How often a batch is tried before the error stands.
const ATTEMPTS: u32 = 6;

/// How often a batch is routed anew before its messages are refused for now.
const ROUTINGS: u32 = 16;

/// The pause after the first try; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

impl<S: MessageStore + ?Sized> Committer<S> {
    /// Commits a batch. Where the store has no room for its messages, its decisions are tried without them, because
    /// settling makes room.
    pub(super) async fn commit(&self, filling: Filling) -> Committed {
        let (mut batch, mut waiting) = filling.close();
        let (number, started) = (self.dispatcher.begin_commit(), Instant::now());
        let Tried { result, unclear } = self.try_routed(&mut batch, &mut waiting).await;
        if result.is_ok()
            && let Some(shared) = self.store.shared()
        {
            self.dispatcher.read_on(&shared.interleaved());
        }
        if result.is_ok() && !batch.operations.is_empty() {
            self.metrics.committed(batch.operations.len(), started.elapsed());
        }
        let decisions = batch.operations.get(waiting.replies.len()..).unwrap_or_default();
        let mut rest = None;
        if let Err(StoreError::Unavailable(_)) = result {
            // They wait until it is available.
            let batch = Arc::new(decisions.to_vec().into());
            rest = Some(Rest { batch, result: result.clone() });
        } else if let Err(StoreError::Full(_) | StoreError::Busy(_)) = result
            && !decisions.is_empty()
        {
            let batch = Arc::new(decisions.to_vec().into());
            let Tried { result, .. } = self.try_commit(&batch).await;
            rest = Some(Rest { batch, result });
        }
        Committed { number, batch, waiting, result, unclear, rest }
    }

    /// Commits a batch, routed anew each time that another process has changed the roster.
    async fn try_routed(&self, batch: &mut Arc<Batch>, waiting: &mut Waiting) -> Tried {
        let mut tried = Tried { result: Ok(Vec::new()), unclear: false };
        if batch.operations.is_empty() {
            return tried;
        }
        for _ in 0..ROUTINGS {
            let Tried { result, unclear } = self.try_commit(batch).await;
            tried = Tried { result, unclear: unclear || tried.unclear };
            if !matches!(tried.result, Err(StoreError::Outdated)) {
                return tried;
            }
            if let Err(error) = self.route_anew(batch, waiting).await {
                return Tried { result: Err(error), ..tried };
            }
        }
        Tried { result: Err(StoreError::Busy("the roster changes all the time".to_owned())), ..tried }
    }

    async fn try_commit(&self, batch: &Arc<Batch>) -> Tried {
        self.health.begins("a commit", &*self.clock);
        let mut unclear = false;
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        loop {
            let result = self.store.commit(Arc::clone(batch)).await;
            let again = match &result {
                Err(StoreError::Indeterminate(_)) => {
                    unclear = true;
                    true
                }
                Err(StoreError::Busy(_)) => true,
                // A full store stays full for a while; but after an unclear commit only a clear answer will do.
                Err(StoreError::Full(_)) => unclear,
                _ => false,
            };
            let is_last = !again || attempt == ATTEMPTS;
            self.health.tried(&result, is_last, &*self.clock);
            if is_last {
                let result = match result {
                    // Whether it was committed shows when the store is available again, or to the process that begins anew.
                    Err(error @ (StoreError::Unavailable(_) | StoreError::Retired)) => Err(error),
                    Err(error) if unclear => Err(StoreError::Indeterminate(error.to_string())),
                    result => result,
                };
                return Tried { result, unclear };
            }
            if let Err(error) = result {
                warn!(%error, attempt, operations = batch.operations.len(), "the store did not commit; trying again");
            }
            sleep(pause).await;
            pause *= 2;
            attempt += 1;
        }
    }
}

struct Tried {
    result: Result<Vec<Outcome>>,
    unclear: bool,
}
