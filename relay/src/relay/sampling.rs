//! Looks at a running relay for a metrics page, within bounds: however many peers there are, the store is asked for the
//! oldest delivery of few of them.

use std::sync::Arc;

use slipstream_store::{MessageStore, Peer, PeerKind, Result, Sequence, Survives, Timestamp};
use tokio::time::Instant;

use super::core::Core;
use super::dispatcher::{Lane, LaneCounts};
use super::observation::DialObservation;
use super::sample::{PeerSample, Sample};
use super::soon::{deadline, within};
use crate::metrics::{ANONYMOUS, REST};

/// Of so many peers that share a label the store is asked for the oldest delivery.
const MOST_ASKED: usize = 16;

/// A peer, and what its lane counts.
struct Seen {
    peer: Arc<Peer>,
    lane: Arc<Lane>,
    counts: LaneCounts,
    is_up: bool,
}

/// Samples a relay. What the store does not tell within five seconds is left out.
pub(super) async fn sample<S: MessageStore + ?Sized>(core: &Core<S>, dials: Vec<DialObservation>) -> Sample {
    let deadline = deadline();
    let all = look(core);
    let count = |which: fn(&Seen) -> bool| all.iter().filter(|seen| which(seen)).count() as u64;
    let (up, down, paused) = (count(|seen| seen.is_up), count(|seen| !seen.is_up), count(|seen| seen.peer.paused));
    let links = [
        (PeerKind::Application, count(|seen| seen.is_up && seen.peer.kind == PeerKind::Application)),
        (PeerKind::Relay, count(|seen| seen.is_up && seen.peer.kind == PeerKind::Relay)),
    ];
    let (mut rest, anonymous): (Vec<_>, Vec<_>) = all.into_iter().partition(|seen| seen.peer.durable);
    let own = core.series.take_own(&mut rest, |seen| (&seen.peer.id, seen.counts.backlog));
    let mut peers = Vec::with_capacity(own.len() + 2);
    for seen in own {
        peers.push(of_its_own(core, &seen, deadline).await);
    }
    for (label, sum, sharing) in [(ANONYMOUS, &core.series.anonymous, anonymous), (REST, &core.series.rest, rest)] {
        if !sharing.is_empty() {
            let republishes = sum.add(sharing.iter().map(|seen| seen.lane.new_republishes()).sum());
            peers.push(PeerSample { republishes, ..together(core, label, sharing, deadline).await });
        }
    }
    let guarantee = core.store.guarantee();
    Sample {
        engine: guarantee.engine,
        survives_power_cut: guarantee.survives >= Survives::PowerCut,
        store: within(Some(deadline), core.store.stats()).await,
        store_fails: core.health.trouble(&*core.clock).is_some(),
        disk_low: core.disk.is_low().is_some(),
        free_bytes: core.disk.free(),
        up,
        down,
        paused,
        links,
        peers,
        dials,
        at: core.clock.now(),
        clock_offset: core.clock_offset(),
    }
}

fn look<S: MessageStore + ?Sized>(core: &Core<S>) -> Vec<Seen> {
    let topology = core.topology.load_full();
    let seen = topology.peers().iter().filter_map(|peer| {
        let lane = core.dispatcher.lane(&peer.id)?;
        let (counts, is_up) = (lane.counts(), core.links.linked_from(&peer.id).is_some());
        Some(Seen { peer: Arc::clone(peer), lane, counts, is_up })
    });
    seen.collect()
}

async fn of_its_own<S: MessageStore + ?Sized>(core: &Core<S>, seen: &Seen, deadline: Instant) -> PeerSample {
    let Seen { peer, lane, counts, is_up } = seen;
    // From now on they are counted here; if the peer ever shares a label, what comes then is counted there.
    lane.new_republishes();
    let oldest = match counts.backlog {
        0 => Ok(None),
        _ => oldest(core, lane, deadline).await.map(|oldest| oldest.map(|(_, received)| received)),
    };
    PeerSample {
        label: peer.id.to_string(),
        is_up: Some(*is_up),
        backlog: counts.backlog,
        in_flight: counts.in_flight,
        in_flight_bytes: counts.in_flight_bytes,
        oldest,
        republishes: lane.republishes(),
    }
}

/// What peers that share a label count together.
async fn together<S: MessageStore + ?Sized>(
    core: &Core<S>,
    label: &str,
    mut sharing: Vec<Seen>,
    deadline: Instant,
) -> PeerSample {
    let sum = |each: fn(&LaneCounts) -> usize| sharing.iter().map(|seen| each(&seen.counts)).sum();
    PeerSample {
        label: label.to_owned(),
        is_up: None,
        backlog: sharing.iter().map(|seen| seen.counts.backlog).sum(),
        in_flight: sum(|counts| counts.in_flight),
        in_flight_bytes: sum(|counts| counts.in_flight_bytes),
        oldest: oldest_of(core, &mut sharing, deadline).await,
        republishes: 0,
    }
}

/// When the oldest message was received that any of these peers is owed. Those are asked for first who may be owed the
/// oldest. Sequences are in the order of receiving, so nobody is asked for who can only be owed something newer than what
/// was found. If there are more to ask for than [`MOST_ASKED`], it is the oldest that was found; what was learnt makes the
/// next page need fewer.
async fn oldest_of<S: MessageStore + ?Sized>(
    core: &Core<S>,
    peers: &mut Vec<Seen>,
    deadline: Instant,
) -> Result<Option<Timestamp>> {
    peers.retain(|seen| seen.counts.backlog > 0);
    peers.sort_by_key(|seen| seen.counts.owed_from);
    let mut found: Option<(Sequence, Timestamp)> = None;
    for seen in peers.iter().take(MOST_ASKED) {
        if found.is_some_and(|(sequence, _)| seen.counts.owed_from >= Some(sequence)) {
            break;
        }
        let told = oldest(core, &seen.lane, deadline).await?;
        found = found.into_iter().chain(told).min();
    }
    Ok(found.map(|(_, received)| received))
}

async fn oldest<S: MessageStore + ?Sized>(
    core: &Core<S>,
    lane: &Lane,
    deadline: Instant,
) -> Result<Option<(Sequence, Timestamp)>> {
    within(Some(deadline), core.dispatcher.oldest(lane, &*core.store)).await
}

#[cfg(test)]
mod tests {
    use slipstream_conformance::fixture::{acknowledge, commit_one, plain, recorded, remember_all, sequences, t};
    use slipstream_conformance::{Call, FaultStore, ModelStore, When};
    use slipstream_store::{Record, StoreError};

    use super::*;
    use crate::clock::SystemClock;
    use crate::relay::{Relay, Settings};

    #[tokio::test]
    async fn of_many_peers_the_store_is_asked_for_few() {
        let (store, faults) = FaultStore::new(ModelStore::in_memory());
        let names: Vec<_> = (0..300).map(|number| format!("p{number:03}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        remember_all(&store, &names).await;
        let mut owed = Vec::new();
        // The last are owed the oldest.
        for (number, name) in (100..).zip(names.iter().rev()) {
            owed.push(recorded(&store, Record { received_at: t(number), ..plain(name, &[name]) }).await);
        }
        for more in ["m1", "m2"] {
            recorded(&store, Record { received_at: t(5_000), ..plain(more, &["p002", "p001"]) }).await;
        }
        let store = Arc::new(store);
        let settings = Settings { metrics_peers: 2, ..Settings::default() };
        let relay = Relay::open(Arc::clone(&store), settings, Arc::new(SystemClock::new())).await.unwrap();
        let asked_at_most = async |most: u32| {
            faults.clear();
            faults.fail_after(most, Call::Pending, StoreError::Full("asked too often".to_owned()), When::Before);
            let Sample { peers, down, .. } = relay.observer().sample().await;
            assert_eq!(down, 300);
            let seen = |peer: PeerSample| (peer.label, peer.backlog, peer.is_up, peer.oldest.expect("it is told"));
            peers.into_iter().map(seen).collect::<Vec<_>>()
        };
        let alone = |name: &str, oldest| (name.to_owned(), 3, Some(false), Some(t(oldest)));
        let rest = |oldest| (REST.to_owned(), 298, None, Some(t(oldest)));
        assert_eq!(asked_at_most(3).await, [alone("p001", 398), alone("p002", 397), rest(100)]);
        // The relay has not heard of it, as where a purge ends what has expired.
        let ended = [acknowledge("p299", owed[0]), acknowledge("p298", owed[1])];
        for ended in ended {
            commit_one(&*store, ended).await;
        }
        assert_eq!(asked_at_most(5).await[2], rest(102));
    }

    #[tokio::test]
    async fn if_too_many_would_have_to_be_asked_it_is_the_oldest_that_was_found() {
        let (store, faults) = FaultStore::new(ModelStore::in_memory());
        let names: Vec<_> = (0..200).map(|number| format!("p{number:03}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        remember_all(&store, &names).await;
        let gone = recorded(&store, plain("gone", &names)).await;
        for (number, name) in (100..).zip(&names) {
            recorded(&store, Record { received_at: t(number), ..plain(name, &[name]) }).await;
        }
        let store = Arc::new(store);
        let settings = Settings { metrics_peers: 0, ..Settings::default() };
        let relay = Relay::open(Arc::clone(&store), settings, Arc::new(SystemClock::new())).await.unwrap();
        sequences(&*store, names.iter().map(|name| acknowledge(name, gone)).collect()).await;
        // Each may be owed what is gone, as far as the relay has heard.
        faults.fail_after(16, Call::Pending, StoreError::Full("asked too often".to_owned()), When::Before);
        let Sample { peers, .. } = relay.observer().sample().await;
        assert_eq!(peers[0].oldest, Ok(Some(t(100))));
    }
}
