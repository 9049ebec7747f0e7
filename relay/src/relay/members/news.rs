//! Takes in what the other processes that share the store did.

use std::convert::Infallible;
use std::time::Duration;

use slipstream_store::{MessageStore, News, SharedStore, StoreError};
use tokio::time::sleep;
use tracing::{info, warn};

use crate::relay::core::Core;
use crate::relay::peers::Registry;

/// Longest that the store waits for news at a time.
const WAITS_FOR_NEWS: Duration = Duration::from_secs(1);

/// How long it pauses after news could not be read.
const PAUSE: Duration = Duration::from_secs(1);

/// How often it is counted what the peers are owed, of what others record and settle.
const COUNTS_EVERY: Duration = Duration::from_secs(5);

/// Takes in news until the store fails for good.
pub(super) async fn hear<S: MessageStore + ?Sized>(
    registry: &Registry<S>,
    shared: &dyn SharedStore,
) -> Result<Infallible, StoreError> {
    let core = &registry.core;
    let mut counted = core.clock.elapsed();
    loop {
        let heard = match shared.news(WAITS_FOR_NEWS).await {
            Ok(news) => take(core, news, &mut counted).await,
            Err(error) => Err(error),
        };
        match heard {
            Err(error) if error.is_transient() => {
                warn!(%error, "what other processes did could not be read yet");
                sleep(PAUSE).await;
            }
            heard => heard?,
        }
    }
}

async fn take<S: MessageStore + ?Sized>(core: &Core<S>, news: News, counted: &mut Duration) -> Result<(), StoreError> {
    let News { owed, roster, lost } = news;
    for peer in &lost {
        info!(%peer, "another process serves the peer now");
        core.links.evict(peer);
    }
    core.dispatcher.read_on(&owed);
    let now = core.clock.elapsed();
    if roster.is_some() || now.saturating_sub(*counted) >= COUNTS_EVERY {
        let roster = core.renew().await?;
        core.dispatcher.recount(&roster);
        *counted = now;
    }
    Ok(())
}
