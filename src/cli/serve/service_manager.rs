//! What the service manager is told, systemd or another that speaks sd_notify(3): that the store is still being opened,
//! that the relay takes links, how it is, that it lives, that it stops. Without one (`NOTIFY_SOCKET` is not set) all this
//! does nothing.
//!
//! The watchdog is told that the relay lives while the runtime runs tasks and the committer, through which every message
//! and every acknowledgement goes, answers. A committer that waits for its store counts as alive: a disk that hangs is
//! not mended by a restart, which would only drop the links and then hang in opening the store. `/readyz` tells of it.

use std::env;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;
use slipstream_store::MessageStore;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::readiness::reasons;
use crate::relay::{Observer, Operator};

/// How much longer the service manager is asked to wait, while the store is being opened.
const OPENING_EXTENSION: Duration = Duration::from_secs(60);

/// How often it is asked that.
const OPENING_REPORT: Duration = Duration::from_secs(10);

/// How often it is told how the relay is, if it wants no watchdog.
const REPORT: Duration = Duration::from_secs(15);

/// How long the store may take to close once the links have ended.
const CLOSING_EXTENSION: Duration = Duration::from_secs(20);

/// How often it is looked whether the committer waits for its store.
const LOOK: Duration = Duration::from_millis(50);

/// Whoever started this process and wants to know how it is.
#[derive(Debug)]
pub(super) struct ServiceManager {
    is_there: bool,
    /// Whether it was told that the relay is ready.
    knows_ready: AtomicBool,
    watchdog: Option<Duration>,
}

/// Where the signs of life come from.
pub(super) struct Signs {
    pub(super) observer: Observer<dyn MessageStore>,
    pub(super) operator: Operator<dyn MessageStore>,
}

impl ServiceManager {
    /// The one that the environment of the process names, if any.
    pub(super) fn of_environment() -> Self {
        let is_there = env::var_os("NOTIFY_SOCKET").is_some();
        let watchdog = sd_notify::watchdog_enabled().filter(|_| is_there);
        Self { is_there, knows_ready: AtomicBool::new(false), watchdog }
    }

    /// Opens the store by `work`, and has the service manager wait meanwhile, however long that takes; but no longer than
    /// it likes from when the relay is asked to stop.
    pub(super) async fn opening<T>(&self, work: impl Future<Output = T>, shutdown: &CancellationToken) -> T {
        if !self.is_there {
            return work.await;
        }
        let mut work = pin!(work);
        let began = Instant::now();
        let mut reports = interval(OPENING_REPORT);
        let mut stops = false;
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = shutdown.cancelled(), if !stops => {
                    stops = true;
                    tell(&[NotifyState::Stopping, NotifyState::Status("stopping, once the store is open")]);
                }
                _ = reports.tick(), if !stops => {
                    let status = format!("opening the store, for {} s", began.elapsed().as_secs());
                    tell(&[NotifyState::Status(&status), extension(OPENING_EXTENSION)]);
                }
            }
        }
    }

    /// Tells that the relay takes links.
    pub(super) fn ready(&self) {
        if self.is_there {
            self.knows_ready.store(true, Ordering::Release);
            tell(&[NotifyState::Ready]);
        }
    }

    /// Tells that what `work` does is reading the settings again.
    pub(super) async fn reloading(&self, work: impl Future<Output = ()>) {
        // Before that, to be ready after this would be to have started.
        let is_told = self.knows_ready.load(Ordering::Acquire);
        if is_told {
            match NotifyState::monotonic_usec_now() {
                Ok(now) => tell(&[NotifyState::Reloading, now]),
                Err(error) => warn!(%error, "the time of a reload is not known"),
            }
        }
        work.await;
        if is_told {
            tell(&[NotifyState::Ready]);
        }
    }

    /// Tells how the relay is and that it lives, until it stops, and then that it stops within `timeout`.
    pub(super) async fn attend(&self, relay: Signs, timeout: Duration, shutdown: CancellationToken) {
        if self.is_there {
            shutdown.run_until_cancelled(self.report(&relay)).await;
            let within = extension(timeout.saturating_add(CLOSING_EXTENSION));
            tell(&[NotifyState::Stopping, NotifyState::Status("stopping"), within]);
        }
    }

    /// Reports until the relay stops by itself.
    async fn report(&self, relay: &Signs) {
        let pace = self.watchdog.map_or(REPORT, |limit| limit / 2).max(LOOK);
        let mut reports = interval(pace);
        reports.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while relay.observer.is_taking() {
            reports.tick().await;
            tell(&[NotifyState::Status(&relay.status())]);
            if self.watchdog.is_none() {
                continue;
            }
            if shows_life(relay.operator.answers(), || relay.observer.waits_for_store(), pace / 2).await {
                tell(&[NotifyState::Watchdog]);
            } else {
                error!(
                    "the relay does not answer and does not wait for its store; the watchdog is not told that it lives"
                );
            }
        }
    }
}

impl Signs {
    /// How the relay is, in a line for people.
    fn status(&self) -> String {
        let census = self.observer.census();
        let reasons = reasons(&self.observer);
        let how = if reasons.is_empty() { "ready".to_owned() } else { format!("not ready: {}", reasons.join("; ")) };
        format!("{how}; peers linked: {}, away: {}; deliveries owed: {}", census.up, census.down, census.backlog)
    }
}

/// Whether the committer answers soon, or waits for its store.
async fn shows_life(answers: impl Future, waits_for_store: impl Fn() -> bool, soon: Duration) -> bool {
    let waits = async {
        let mut looks = interval(LOOK);
        while !waits_for_store() {
            looks.tick().await;
        }
    };
    let either = async {
        tokio::select! {
            _ = answers => {}
            () = waits => {}
        }
    };
    timeout(soon, either).await.is_ok()
}

fn extension(by: Duration) -> NotifyState<'static> {
    NotifyState::ExtendTimeoutUsec(u32::try_from(by.as_micros()).unwrap_or(u32::MAX))
}

/// Tells it. If the service manager takes nothing at the moment, other tasks go on meanwhile.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = tokio::task::block_in_place(|| sd_notify::notify(states)) {
        warn!(%error, "the service manager (NOTIFY_SOCKET) is not told how the relay is");
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_committer_lives_that_answers_or_waits_for_its_store() {
        let soon = Duration::from_secs(5);
        assert!(shows_life(ready(()), || false, soon).await);
        assert!(shows_life(pending::<()>(), || true, soon).await);
        assert!(!shows_life(pending::<()>(), || false, soon).await);
        let looks = AtomicUsize::new(0);
        let between_commits = || looks.fetch_add(1, Ordering::Relaxed) > 3;
        assert!(shows_life(pending::<()>(), between_commits, soon).await);
    }
}
