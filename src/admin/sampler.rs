//! The task that looks at the relay every second: for the history, and for those who watch if anybody does.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::api::{HistoryPoint, PeerItem, Status, largest, status_of};
use super::history::History;
use super::live::Live;
use super::pages::Pages;

/// How often it looks.
const TICK: Duration = Duration::from_secs(1);

/// Most peers in a picture: the relays, and those of the others that are owed most.
const MAX_PEERS: NonZeroU32 = NonZeroU32::MIN.saturating_add(199);

/// The relay at one moment, for those who watch.
#[derive(Serialize)]
struct Picture {
    status: Status,
    peers: Vec<PeerItem>,
    /// The newest point of the history.
    point: Option<HistoryPoint>,
}

/// Looks for as long as it is polled.
pub(super) async fn run(pages: &watch::Receiver<Pages>, live: &Live) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let pages = pages.borrow().clone();
        let now = Instant::now();
        let Ok(running) = pages.running() else {
            *live.history.lock() = History::new(now);
            continue;
        };
        let observer = &running.observer;
        let point = {
            let mut history = live.history.lock();
            if history.is_due(now) {
                history.look(now, observer.now(), observer.flow(), observer.census().backlog);
            }
            history.points().next_back().map(HistoryPoint::from)
        };
        if !live.is_watched() {
            continue;
        }
        let picture =
            Picture { status: status_of(&pages, running).await, peers: largest(running, MAX_PEERS).await, point };
        match serde_json::to_string(&picture) {
            Ok(picture) => live.show(picture),
            Err(error) => tracing::warn!(%error, "a picture for the dashboard cannot be written"),
        }
    }
}
