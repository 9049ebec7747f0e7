//! Keeps peers from being owed more than the backlog limit, where the oldest deliveries give way.
//!
//! It works behind the committer, so a peer may be owed more than the limit for as long as a commit or two take.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use slipstream_store::{DeadLetterReason, MessageStore, PageLimit, StoreError};
use tokio::time::timeout;
use tracing::warn;

use super::dispatcher::Lane;
use super::peers::Registry;
use super::settings::BacklogPolicy;

/// After how long it looks again where the store could not be read, or has not taken in what was given up.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Works until it is dropped, or the store fails for good. Without such a limit there is nothing to do.
pub(super) async fn run<S: MessageStore + ?Sized>(registry: Registry<S>) -> Result<(), StoreError> {
    let core = &registry.core;
    let Some(limit) = core.settings.backlog.filter(|limit| limit.policy == BacklogPolicy::DropOldest) else {
        return std::future::pending().await;
    };
    let most = limit.deliveries.get();
    loop {
        for lane in core.dispatcher.lanes_over(most) {
            match trim(&registry, &lane, most).await {
                Err(error) if error.is_transient() => {
                    warn!(peer = %lane.peer(), %error, "a backlog was not trimmed yet")
                }
                trimmed => trimmed?,
            }
        }
        let overfull = core.overfull.notified();
        if core.dispatcher.lanes_over(most).is_empty() {
            overfull.await;
        } else {
            // Whether it was told or the time is over, it looks again.
            let _ = timeout(LOOK_AGAIN, overfull).await;
        }
    }
}

/// Gives up the oldest deliveries of a peer until it is owed no more than `most`, or the store shows none that was not
/// given up before.
async fn trim<S: MessageStore + ?Sized>(registry: &Registry<S>, lane: &Arc<Lane>, most: u64) -> Result<(), StoreError> {
    let core = &registry.core;
    let page = core.settings.stages.page;
    warn!(peer = %lane.peer(), backlog = lane.backlog(), most, "a peer is owed too much; its oldest deliveries are given up");
    while let Some(excess) = NonZeroU32::new(u32::try_from(lane.backlog().saturating_sub(most)).unwrap_or(u32::MAX)) {
        let limit = PageLimit { items: excess.min(page.items), ..page };
        if !core.dispatcher.give_up_oldest(lane, &*core.store, limit, &DeadLetterReason::Backlog).await? {
            break;
        }
        // What was decided is in the store before the oldest are looked for again.
        registry.commits.drain().await;
    }
    Ok(())
}
