//! The loop that accepts connections. Each goes through the door in a task of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::admission::Admission;
use super::authorizer::Authorizer;
use super::door::Door;
use super::limits::ListenLimits;
use super::listener::Listener;
use crate::metrics::Metrics;

/// First and longest pause after an accept that failed, mostly for want of file descriptors.
const ACCEPT_PAUSE: [Duration; 2] = [Duration::from_millis(5), Duration::from_secs(1)];

/// Accepts links until `shutdown` is cancelled; each runs as a task that `tracker` counts. Handshakes that are under way at a
/// shutdown are dropped. Returns the links that there still are, which are left to their seats.
///
/// A panic of a seat, of the admission, of the authorizer or of a transport's handshake ends that one link and nothing
/// else.
///
/// # Cancellation
/// Dropping the future, or what it returned, drops all links.
pub async fn serve<A: Admission>(
    listener: Box<dyn Listener>,
    admission: A,
    authorizer: Arc<dyn Authorizer>,
    limits: ListenLimits,
    shutdown: CancellationToken,
    tracker: TaskTracker,
) -> JoinSet<()> {
    let mut links = JoinSet::new();
    let door = Arc::new(Door::new(admission, authorizer, &limits, shutdown.clone()));
    let mut pause = ACCEPT_PAUSE[0];
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        while links.try_join_next().is_some() {}
        match accepted {
            Ok(accepted) => {
                pause = ACCEPT_PAUSE[0];
                match door.stay(accepted.remote()) {
                    Ok(stay) => {
                        links.spawn(tracker.track_future(Arc::clone(&door).receive(accepted, stay)));
                    }
                    Err(full) => {
                        debug!(remote = %accepted.remote(), full = full.reason(), "a connection was dropped: too many wait to be told that there is no room");
                        Metrics::link_error(full.reason());
                    }
                }
            }
            Err(error) => {
                warn!(%error, ?pause, "a connection could not be accepted");
                Metrics::link_error("accept");
                sleep(pause).await;
                pause = ACCEPT_PAUSE[1].min(pause * 2);
            }
        }
    }
    links
}
