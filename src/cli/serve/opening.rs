//! Opens the store, and the relay over it. A store that has an address is waited for.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::relay_settings::settings;
use crate::backend::{self, Opened};
use crate::clock::SystemClock;
use crate::config::{Config, Engine};
use crate::relay::{Relay, RelayError};
use crate::store::{MessageStore, StoreError};

/// How long it waits before it tries again to open a store that is not to be had.
const AGAIN: Duration = Duration::from_secs(2);

/// A relay that is to run, and its store.
pub(super) struct Begun {
    pub(super) opened: Opened,
    pub(super) relay: Relay<dyn MessageStore>,
}

/// Opens both. A store in files is there or not; one that has an address is waited for, which is told in `state`, until it
/// is there or `shutdown` is cancelled. In that case there is nothing.
///
/// # Errors
/// Why it cannot be opened, and is not worth waiting for.
pub(super) async fn begin(
    config: &Config,
    clock: &Arc<SystemClock>,
    state: &watch::Sender<String>,
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<Begun>> {
    if let Engine::Embedded(_) = config.store {
        return open(config, clock).await.map(Some).map_err(|error| explained(config, error));
    }
    // A process beats once it runs. If opening takes long the others may take it for dead; then it enters anew.
    let waiting = async {
        loop {
            match open(config, clock).await {
                Err(RelayError::Store(error)) if error.is_transient() || error == StoreError::Retired => {
                    let told = format!("opening the store: {error}");
                    if *state.borrow() != told {
                        warn!(%error, "the store cannot be opened yet; it is tried again and again");
                    }
                    state.send_replace(told);
                }
                ended => return ended,
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    tokio::select! {
        ended = waiting => ended.map(Some).map_err(|error| explained(config, error)),
        () = shutdown.cancelled() => Ok(None),
    }
}

async fn open(config: &Config, clock: &Arc<SystemClock>) -> Result<Begun, RelayError> {
    let opened = backend::start(&config.store_config(), &**clock).await?;
    let relay = Relay::open_erased(Arc::clone(&opened.store), settings(config), clock.clone()).await?;
    Ok(Begun { opened, relay })
}

/// Names the setting that an operator looks at.
fn explained(config: &Config, error: RelayError) -> anyhow::Error {
    match (config.store, error) {
        // It names the path itself.
        (_, RelayError::Store(error @ StoreError::InUse(_))) => anyhow!(
            "SLIPSTREAM_STORAGE_PATH: {error}; expected a folder of its own for each relay: stop the other one, or choose \
             another path"
        ),
        (Engine::Postgres, RelayError::Store(error)) => anyhow!(error).context("SLIPSTREAM_STORE_URL"),
        (Engine::Embedded(_), RelayError::Store(error)) => {
            anyhow!(error).context(format!("SLIPSTREAM_STORAGE_PATH: {}", config.storage_path.display()))
        }
        (_, error) => anyhow!(error),
    }
}
