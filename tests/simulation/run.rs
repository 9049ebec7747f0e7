//! Runs a plan: one thread, one paused clock, everything in order.
//!
//! All of a simulation runs on one single-threaded runtime, whose clock stands still while anything can be done and
//! then jumps to the next timer. A step is all that can be done at one instant; after each the invariants are looked
//! at that need looking at the whole.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use slipstream::store::PeerId;
use tokio::runtime::{Builder, Handle};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::application::{Application, ApplicationMachine, Surroundings};
use crate::disk::Disk;
use crate::invariants::{Counts, Oracle};
use crate::network::{Crash, Network};
use crate::plan::Plan;
use crate::relay::RelayMachine;
use crate::world::{Violation, World};

/// How long it may take until everyone is linked for the first time.
const LINKS_WITHIN: Duration = Duration::from_secs(300);

/// How often a relay is looked at as a whole, and how often its whole store.
const LOOKS_EVERY: Duration = Duration::from_secs(1);
const CHECKS_EVERY: Duration = Duration::from_secs(60);

/// How long nothing may happen at the end, so that what was settled is purged.
const REST: Duration = Duration::from_secs(30);

/// What came of a simulation.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) violation: Option<Violation>,
    /// How many events there were, and their hash.
    pub(crate) fingerprint: (u64, u64),
    pub(crate) simulated: Duration,
    pub(crate) counts: Counts,
    pub(crate) last_events: Vec<String>,
}

/// A simulation that runs.
#[derive(Debug)]
pub(crate) struct Simulation {
    pub(crate) world: Arc<World>,
    pub(crate) plan: Arc<Plan>,
    pub(crate) network: Arc<Network>,
    pub(crate) oracle: Arc<Oracle>,
    pub(crate) relays: Vec<Arc<RelayMachine>>,
    pub(crate) applications: Vec<Arc<ApplicationMachine>>,
    pub(crate) tasks: Mutex<JoinSet<()>>,
    looked_at: Mutex<[Duration; 2]>,
}

/// Runs a plan with a seed. With `prints`, every event goes to the standard output.
pub(crate) fn run(plan: &Plan, seed: u64, prints: bool) -> Outcome {
    run_with(plan, seed, prints, async |_| {})
}

/// Runs a plan; while applications write, `script` does what it likes.
pub(crate) fn run_with(plan: &Plan, seed: u64, prints: bool, script: impl AsyncFnOnce(&Arc<Simulation>)) -> Outcome {
    let running: Arc<OnceLock<Weak<Simulation>>> = Arc::default();
    let watched = Arc::clone(&running);
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .on_thread_park(move || {
            if let Some(simulation) = watched.get().and_then(Weak::upgrade) {
                simulation.step();
            }
        })
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let simulation = Simulation::new(plan, seed, prints);
        running.set(Arc::downgrade(&simulation)).expect("set once");
        let world = Arc::clone(&simulation.world);
        tokio::select! {
            biased;
            () = world.stopped() => {}
            () = simulation.live(script) => {}
        }
        Outcome {
            violation: world.violation(),
            fingerprint: world.fingerprint(),
            simulated: world.elapsed(),
            counts: simulation.oracle.counts(),
            last_events: world.last_events(),
        }
    })
}

impl Simulation {
    fn new(plan: &Plan, seed: u64, prints: bool) -> Arc<Self> {
        let world = Arc::new(World::new(seed, prints));
        let plan = Arc::new(plan.clone());
        let network = Network::new(&world, plan.weather.clone());
        let oracle = Oracle::new(&world, &plan);
        let disks: Vec<_> = plan.relays.iter().map(|relay| Disk::new(&plan, relay, &world, &oracle)).collect();
        let machines = plan.relays.iter().enumerate().flat_map(|(index, relay)| {
            let machine = |host| RelayMachine::new(&plan, index, host, &disks[index], &world, &network, &oracle);
            relay.hosts.iter().map(machine).collect::<Vec<_>>()
        });
        let relays: Vec<_> = machines.collect();
        let everyone: Vec<PeerId> = plan.applications.iter().map(|application| application.id.clone()).collect();
        let applications = plan.applications.iter().map(|application| {
            ApplicationMachine::new(Application::new(
                application,
                Surroundings {
                    world: &world,
                    network: &network,
                    oracle: &oracle,
                    hosts: &plan.relays[application.home].hosts,
                    disk: &disks[application.home],
                    everyone: everyone.clone(),
                    tags: plan.tags(),
                },
            ))
        });
        let applications = applications.collect();
        Arc::new(Self {
            world,
            plan,
            network,
            oracle,
            relays,
            applications,
            tasks: Mutex::default(),
            looked_at: Mutex::default(),
        })
    }

    async fn live(self: &Arc<Self>, script: impl AsyncFnOnce(&Arc<Self>)) {
        let before = Handle::current().metrics().num_alive_tasks();
        for relay in &self.relays {
            let relay = Arc::clone(relay);
            self.tasks.lock().spawn(async move { relay.run().await });
        }
        for application in &self.applications {
            let application = Arc::clone(application);
            self.tasks.lock().spawn(async move { application.run().await });
        }
        self.until("everyone links", LINKS_WITHIN, Self::missing_links).await;
        self.world.note("simulation", "everyone is linked");
        self.applications.iter().for_each(|it| it.application.begin());
        tokio::select! {
            biased;
            () = async { tokio::join!(script(self), sleep(self.plan.traffic)); } => {}
            () = self.suffer() => {}
        }
        self.applications.iter().for_each(|it| it.application.writer.lock().stop());
        self.heal();
        self.until("everything settles", self.plan.settles_within, |it| it.oracle.outstanding(&it.disks())).await;
        sleep(REST).await;
        self.look_at_the_end();
        self.end(before).await;
    }

    fn disks(&self) -> BTreeMap<PeerId, Arc<Disk>> {
        self.relays.iter().map(|relay| (relay.id.clone(), Arc::clone(&relay.disk))).collect()
    }

    /// Waits until nothing is missing any more. Within the time, that must come.
    async fn until(&self, invariant: &'static str, limit: Duration, missing: impl Fn(&Self) -> Vec<String>) {
        let deadline = self.world.elapsed() + limit;
        loop {
            let missing = missing(self);
            if missing.is_empty() {
                return;
            }
            if self.world.elapsed() >= deadline {
                return self.world.violated(invariant, format!("not within {limit:?}: {}", missing.join(", ")));
            }
            sleep(Duration::from_millis(500)).await;
        }
    }

    fn missing_links(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if !self.oracle.all_are_remembered() {
            missing.push("an application has no link".to_owned());
        }
        for relay in &self.plan.relays {
            // Of several processes that are one relay, one has the link.
            let processes = self.relays.iter().filter(|machine| machine.id == relay.id);
            let seen: Vec<_> = processes.filter_map(|machine| machine.observe()).flat_map(|it| it.peers).collect();
            for neighbour in self.plan.neighbours(&relay.id) {
                if !seen.iter().any(|peer| peer.peer.id == *neighbour && peer.linked_from.is_some()) {
                    missing.push(format!("{} has no link with {neighbour}", relay.id));
                }
            }
        }
        missing
    }

    /// Called when nothing more can be done at this instant, before time goes on.
    fn step(&self) {
        let now = self.world.elapsed();
        let [looks, checks] = {
            let mut at = self.looked_at.lock();
            let due = [LOOKS_EVERY, CHECKS_EVERY];
            [0, 1].map(|n| {
                let is_due = now >= at[n] + due[n];
                if is_due {
                    at[n] = now;
                }
                is_due
            })
        };
        if !looks {
            return;
        }
        for relay in &self.relays {
            if let Some(observation) = relay.observe() {
                self.oracle.observed(&relay.id, &observation, &relay.disk, false);
            }
            if checks {
                self.oracle.store_is_sound(&relay.id, &relay.disk);
            }
        }
    }

    fn look_at_the_end(&self) {
        self.oracle.nothing_is_missing(&self.disks());
        self.oracle.the_newest_is_last();
        self.oracle.relays_agree(&self.disks());
        for relay in &self.relays {
            match relay.observe() {
                Some(observation) => self.oracle.observed(&relay.id, &observation, &relay.disk, true),
                None => self.world.violated("relays do not fail", format!("{} does not run at the end", relay.id)),
            }
            self.oracle.store_is_sound(&relay.id, &relay.disk);
            self.oracle.store_is_bounded(&relay.id, &relay.disk);
        }
    }

    /// Ends everyone; nothing that they began may go on.
    async fn end(&self, before: usize) {
        self.applications.iter().for_each(|application| application.crash(Crash::Process, Duration::MAX));
        self.relays.iter().for_each(|relay| relay.crash(Crash::Process, Duration::from_secs(1 << 30)));
        self.tasks.lock().abort_all();
        sleep(Duration::from_secs(120)).await;
        let left = Handle::current().metrics().num_alive_tasks();
        self.world.holds("nothing leaks", left <= before, || format!("{left} tasks are left, {before} were before"));
    }
}
