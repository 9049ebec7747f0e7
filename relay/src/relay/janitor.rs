//! Forgets what lies behind the horizon, and the peers that stayed away too long. It works in small steps between
//! commits, so that traffic goes on.

use std::sync::Arc;
use std::time::Duration;

use slipstream_store::{Horizon, MessageStore, Peer, StoreError, Timestamp};
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use super::peers::{Registry, Why};
use super::settings::{STAMP_RETENTION, Settings};
use crate::clock::{BELIEVED_AFTER, Step};

/// The duty of cleaning up, of which one of the processes that share a store has it.
const DUTY: &str = "janitor";

/// How often it is noted that a linked peer is still there.
const SEEN_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Works until it is dropped, or the store fails.
pub(super) async fn run<S: MessageStore + ?Sized>(registry: Registry<S>) -> Result<(), StoreError> {
    let settings = &registry.core.settings;
    // A peer that could not link because the relay was down was not away.
    let started = registry.core.clock.now();
    let mut ticks = interval(settings.stages.janitor_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Some(step) = registry.core.clock.look() {
            tell(step);
        }
        look_at_disk(&registry).await;
        registry.core.notices.tell_rest();
        let is_ours = is_ours(&registry).await?;
        let now = registry.core.clock.now();
        let horizon = horizon(settings, now, registry.core.clock.wall());
        while is_ours && purge(&registry, horizon).await? {}
        let peers = registry.core.topology.load().peers().to_vec();
        for peer in peers {
            let Some(lane) = registry.core.dispatcher.lane(&peer.id) else { continue };
            if lane.is_linked() {
                note_seen(&registry, &peer, now).await?;
            } else if is_ours {
                look_for(&registry, &peer, now, started).await?;
            }
        }
    }
}

/// Whether this process is to clean up, of those that share the store. Then it knows when each peer was seen, wherever
/// that was.
async fn is_ours<S: MessageStore + ?Sized>(registry: &Registry<S>) -> Result<bool, StoreError> {
    let core = &registry.core;
    let Some(shared) = core.store.shared() else { return Ok(true) };
    let taken = async {
        let taken = shared.take_duty(DUTY).await?;
        if taken {
            core.renew().await?;
        }
        Ok::<_, StoreError>(taken)
    };
    match taken.await {
        Err(error) if error.is_transient() => {
            warn!(%error, "cleaning up was put off");
            Ok(false)
        }
        taken => taken,
    }
}

/// Tells that the machine's clock was set while this process ran.
fn tell(step: Step) {
    let (by, way) = match step {
        Step::Forward(by) => (by, "forward"),
        Step::Back(by) => (by, "back"),
    };
    warn!(
        ?by,
        "the machine's clock was set {way}; what is kept for absent peers, the dedup window and the traces goes by the \
         time that passed all the same, and what expires follows the clock once the step has lasted {BELIEVED_AFTER:?}"
    );
}

/// Looks how much is free on the disk, on a thread that may block.
async fn look_at_disk<S: MessageStore + ?Sized>(registry: &Registry<S>) {
    let disk = Arc::clone(&registry.core.disk);
    if disk.is_guarded() {
        // A panic of the look is no reason to stop.
        drop(tokio::task::spawn_blocking(move || disk.look()).await);
    }
}

fn horizon(settings: &Settings, now: Timestamp, wall: Timestamp) -> Horizon {
    Horizon {
        now,
        expiries: wall,
        identities: now.minus(settings.dedup_window),
        max_identities: settings.dedup_max,
        stamps: now.minus(STAMP_RETENTION),
        traces: now.minus(settings.trace_retention),
        max_trace_bytes: settings.trace_max_bytes,
    }
}

/// Purges once; answers whether there is more.
async fn purge<S: MessageStore + ?Sized>(registry: &Registry<S>, horizon: Horizon) -> Result<bool, StoreError> {
    match registry.commits.purge(horizon).await {
        Ok(purged) => Ok(purged.more),
        // The committer has said so.
        Err(StoreError::Unavailable(_)) => Ok(false),
        Err(error) if error.is_transient() => {
            warn!(%error, "purging was put off");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Notes now and then that a linked peer is still there.
async fn note_seen<S: MessageStore + ?Sized>(
    registry: &Registry<S>,
    peer: &Peer,
    now: Timestamp,
) -> Result<(), StoreError> {
    if peer.last_seen.plus(SEEN_INTERVAL) > now {
        return Ok(());
    }
    unless_it_passes(registry.seen(&peer.id).await)
}

/// Forgets a peer that has no link here, if it stayed away for too long.
async fn look_for<S: MessageStore + ?Sized>(
    registry: &Registry<S>,
    peer: &Peer,
    now: Timestamp,
    started: Timestamp,
) -> Result<(), StoreError> {
    let core = &registry.core;
    let settings = &core.settings;
    // An anonymous peer without a link is one whose handshake was never completed.
    let ttl = if peer.durable { settings.peer_ttl } else { 2 * settings.listen.handshake_timeout };
    if peer.last_seen.max(started).plus(ttl) > now || core.is_configured(&peer.id) {
        return Ok(());
    }
    unless_it_passes(registry.forget(&peer.id, Why::StayedAway { since: peer.last_seen }).await.map(drop))
}

/// The error, unless the same may succeed later.
fn unless_it_passes(noted: Result<(), StoreError>) -> Result<(), StoreError> {
    match noted {
        Err(error) if !error.is_transient() => Err(error),
        _ => Ok(()),
    }
}
