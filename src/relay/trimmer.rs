//! Keeps peers from being owed more than the backlog limit, where the oldest deliveries give way.
//!
//! It works behind the committer, so a peer may be owed more than the limit for as long as a commit or two take.

use std::num::NonZeroU32;

use slipstream_store::{MessageStore, PageLimit, StoreError};
use tracing::warn;

use super::settings::BacklogPolicy;
use super::supervisor::Supervisor;

/// The reason of the dead letters.
const REASON: &str = "backlog";

/// Works until it is dropped, or the store fails. Without such a limit there is nothing to do.
pub(super) async fn run<S: MessageStore + ?Sized>(supervisor: Supervisor<S>) -> Result<(), StoreError> {
    let core = &supervisor.core;
    let Some(limit) = core.settings.backlog.filter(|limit| limit.policy == BacklogPolicy::DropOldest) else {
        return std::future::pending().await;
    };
    let most = limit.deliveries.get();
    loop {
        for lane in core.dispatcher.lanes_over(most) {
            warn!(peer = %lane.peer(), backlog = lane.backlog(), most, "a peer is owed too much; its oldest deliveries are given up");
            while let Some(excess) =
                NonZeroU32::new(u32::try_from(lane.backlog().saturating_sub(most)).unwrap_or(u32::MAX))
            {
                let page = core.settings.stages.page;
                let limit = PageLimit { items: excess.min(page.items), ..page };
                if !core.dispatcher.give_up_oldest(&lane, &*core.store, limit, REASON).await? {
                    break;
                }
                // What was decided is in the store before the oldest are looked for again.
                supervisor.commits.drain().await;
            }
        }
        core.overfull.notified().await;
    }
}
