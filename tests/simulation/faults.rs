//! What befalls a simulation, by a schedule that follows from the seed.

use std::sync::Arc;
use std::time::Duration;

use slipstream::store::PeerId;
use tokio::time::sleep;

use crate::disk::Mood;
use crate::network::{Crash, Weather};
use crate::plan::Fault;
use crate::run::Simulation;

impl Simulation {
    /// Lets faults happen until it is dropped.
    pub(crate) async fn suffer(self: &Arc<Self>) {
        let mut randomness = self.world.randomness();
        loop {
            sleep(self.plan.faults.every.mul_f64(2.0 * randomness.f64())).await;
            if let Some(kind) = randomness.choice(self.plan.faults.kinds.iter().copied()) {
                self.befall(kind, &mut randomness);
            }
        }
    }

    fn befall(self: &Arc<Self>, kind: Fault, randomness: &mut fastrand::Rng) {
        let lasts = self.plan.faults.lasts.mul_f64(randomness.f64().powi(3)) + Duration::from_millis(50);
        let relay = Arc::clone(randomness.choice(&self.relays).expect("there is a relay"));
        match kind {
            Fault::Reset => self.network.reset_any(randomness),
            Fault::Sever => self.network.sever_any(randomness),
            Fault::Cut => self.cut_for(lasts, randomness),
            Fault::Storm => self.storm_for(lasts, randomness),
            Fault::RelayCrash => {
                relay.crash(if randomness.bool() { Crash::Process } else { Crash::Machine }, lasts);
            }
            Fault::RelayRestart => relay.shut_down(lasts),
            Fault::ApplicationCrash => {
                if let Some(application) = randomness.choice(&self.applications) {
                    application.crash(if randomness.bool() { Crash::Process } else { Crash::Machine }, lasts);
                }
            }
            Fault::Disk => {
                relay.disk.set_mood(bad_mood(randomness));
                self.later(lasts.min(Duration::from_secs(20)), move |_| relay.disk.set_mood(Mood::well()));
            }
            Fault::DiskFailure => {
                relay.disk.set_mood(Mood { poisoned: 200, ..Mood::well() });
                self.later(Duration::from_secs(2), move |_| relay.disk.set_mood(Mood::well()));
            }
            Fault::ClockJump => {
                let by = any_step(randomness);
                self.world.note(&relay.host, format_args!("clock is set by {by} ms"));
                relay.clock.jump(&self.world, by);
            }
            Fault::Pause => {
                relay.disk.pause(&relay.host, lasts);
            }
            Fault::Away => {
                let of_all = randomness.bool();
                let mates = self.relays.iter().filter(|mate| mate.disk.is_same(&relay.disk));
                for mate in mates.filter(|mate| of_all || mate.host == relay.host) {
                    mate.disk.go_away(&mate.host, lasts.min(Duration::from_secs(20)));
                }
            }
        }
    }

    /// Two hosts that are joined: relays with each other, or an application with its relay.
    fn any_route(&self, randomness: &mut fastrand::Rng) -> (PeerId, PeerId) {
        let mut routes: Vec<_> = self
            .plan
            .applications
            .iter()
            .flat_map(|application| {
                let hosts = self.plan.relays[application.home].hosts.iter();
                hosts.map(|host| (application.id.clone(), host.clone()))
            })
            .collect();
        for relay in &self.plan.relays {
            let others = || self.plan.neighbours(&relay.id).flat_map(|other| self.plan.hosts_of(other));
            routes.extend(relay.hosts.iter().flat_map(|host| others().map(|other| (host.clone(), other.clone()))));
        }
        let (one, other) = randomness.choice(routes).expect("there is a route");
        if randomness.bool() { (one, other) } else { (other, one) }
    }

    fn cut_for(self: &Arc<Self>, lasts: Duration, randomness: &mut fastrand::Rng) {
        let (one, other) = self.any_route(randomness);
        let both_ways = randomness.bool();
        self.network.cut(&one, &other);
        if both_ways {
            self.network.cut(&other, &one);
        }
        self.later(lasts, move |simulation| {
            simulation.network.mend(&one, &other);
            simulation.network.mend(&other, &one);
        });
    }

    fn storm_for(self: &Arc<Self>, lasts: Duration, randomness: &mut fastrand::Rng) {
        let (one, other) = self.any_route(randomness);
        let weather = Weather {
            latency: Duration::from_millis(randomness.u64(50..800)),
            jitter: Duration::from_millis(randomness.u64(0..500)),
            bandwidth: randomness.u64(20_000..1_000_000),
            losses: randomness.u32(0..200),
            retransmission: Duration::from_millis(randomness.u64(200..3_000)),
            buffer: randomness.usize(4_096..65_536),
            piece: randomness.usize(64..4_096),
        };
        self.world.note("network", format_args!("storm from {one} to {other}"));
        self.network.set_weather(&one, &other, Some(weather));
        self.later(lasts, move |simulation| simulation.network.set_weather(&one, &other, None));
    }

    fn later(self: &Arc<Self>, pause: Duration, what: impl FnOnce(&Self) + Send + 'static) {
        let simulation = Arc::clone(self);
        self.tasks.lock().spawn(async move {
            sleep(pause).await;
            what(&simulation);
        });
    }

    /// Ends every fault that lasts.
    pub(crate) fn heal(&self) {
        self.world.note("simulation", "faults end");
        for relay in &self.relays {
            relay.disk.set_mood(Mood::well());
        }
        let hosts: Vec<PeerId> = self
            .plan
            .relays
            .iter()
            .flat_map(|it| &it.hosts)
            .chain(self.plan.applications.iter().map(|it| &it.id))
            .cloned()
            .collect();
        for one in &hosts {
            for other in &hosts {
                self.network.mend(one, other);
                self.network.set_weather(one, other, None);
            }
        }
    }
}

/// A correction as time servers make them, or a clock that is wrong by up to a year.
fn any_step(randomness: &mut fastrand::Rng) -> i64 {
    const YEAR: i64 = 365 * 24 * 60 * 60 * 1000;
    if randomness.bool() { randomness.i64(-120_000..300_000) } else { randomness.i64(-YEAR..YEAR) }
}

/// How a disk can be unwell.
fn bad_mood(randomness: &mut fastrand::Rng) -> Mood {
    let well = Mood::well();
    match randomness.u32(0..4) {
        0 => Mood { slowest: Duration::from_millis(randomness.u64(100..3_000)), ..well },
        1 => Mood { busy: randomness.u32(100..1_000), ..well },
        2 => Mood { full: true, ..well },
        _ => Mood { unclear: randomness.u32(50..600), ..well },
    }
}
