//! A relay under simulation: run after run of it, on one machine with one disk.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use slipstream::dial::DialledPeer;
use slipstream::link::Target;
use slipstream::listen::AllowAll;
use slipstream::relay::{Observation, Observer};
use slipstream::store::{MessageStore, PeerId, StoreError};
use slipstream::{Relay, RelayError, Settings};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::clock::{MachineClock, SimClock};
use crate::disk::Disk;
use crate::disk::store::SimStore;
use crate::invariants::Oracle;
use crate::network::{Crash, Life, Network};
use crate::plan::{Breakage, Fault, Plan};
use crate::world::World;

/// How long it takes until a relay that ended is started again.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// A machine that a relay runs on.
#[derive(Debug)]
pub(crate) struct RelayMachine {
    pub(crate) id: PeerId,
    /// Its name on the network.
    pub(crate) host: PeerId,
    pub(crate) disk: Arc<Disk>,
    pub(crate) clock: MachineClock,
    world: Arc<World>,
    network: Arc<Network>,
    oracle: Arc<Oracle>,
    settings: Settings,
    breakage: Breakage,
    /// Whether a store may fail for good here.
    disk_fails: bool,
    /// Whether the store may be out of reach here.
    store_goes_away: bool,
    running: Mutex<Running>,
}

#[derive(Debug, Default)]
struct Running {
    life: Option<Life>,
    observer: Option<Observer<dyn MessageStore>>,
    crashed: CancellationToken,
    shutdown: CancellationToken,
    down_until: Option<Instant>,
}

impl RelayMachine {
    pub(crate) fn new(
        plan: &Plan,
        index: usize,
        host: &PeerId,
        disk: &Arc<Disk>,
        world: &Arc<World>,
        network: &Arc<Network>,
        oracle: &Arc<Oracle>,
    ) -> Arc<Self> {
        let relay = &plan.relays[index];
        let dials = relay.dials.iter().map(|index| {
            let (id, host) = (&plan.relays[*index].id, &plan.relays[*index].hosts[0]);
            DialledPeer {
                target: Target::parse(&format!("ws://{host}:7171/")).expect("a valid URL"),
                alias: id.clone(),
                tags: None,
                group: None,
                coalesce: false,
                token: None,
            }
        });
        let settings = Settings {
            instance_id: Some(relay.id.clone()),
            tags: plan.tags().into(),
            peers: dials.collect(),
            ..plan.settings.clone()
        };
        Arc::new(Self {
            id: relay.id.clone(),
            host: host.clone(),
            disk: Arc::clone(disk),
            clock: oracle.clock_of(&relay.id),
            world: Arc::clone(world),
            network: Arc::clone(network),
            oracle: Arc::clone(oracle),
            settings,
            breakage: plan.breakage.clone(),
            disk_fails: plan.faults.hurt_disks(),
            store_goes_away: plan.faults.kinds.contains(&Fault::Away),
            running: Mutex::default(),
        })
    }

    /// Runs the relay again and again, until it is dropped.
    pub(crate) async fn run(&self) {
        loop {
            let down_until = self.running.lock().down_until;
            if let Some(until) = down_until.filter(|until| *until > Instant::now()) {
                sleep_until(until).await;
                continue;
            }
            let life = Life::new(&self.host);
            let (crashed, shutdown) = (CancellationToken::new(), CancellationToken::new());
            {
                let mut running = self.running.lock();
                running.life = Some(life.clone());
                running.crashed = crashed.clone();
                running.shutdown = shutdown.clone();
            }
            self.world.note(&self.host, "starts");
            tokio::select! {
                biased;
                () = crashed.cancelled() => {}
                ended = self.live(&life, shutdown.clone()) => self.ended(&life, &shutdown, &ended),
            }
            self.running.lock().observer = None;
            sleep(RESTART_PAUSE).await;
        }
    }

    async fn live(&self, life: &Life, shutdown: CancellationToken) -> Result<(), RelayError> {
        let store: Arc<dyn MessageStore> = (self.breakage.store)(Arc::new(SimStore::open(&self.disk, life)));
        self.oracle.reopened(&self.id, &self.disk);
        let clock = Arc::new(SimClock::new(&self.world, &self.clock));
        let relay = Relay::open_erased(store, self.settings.clone(), clock).await?;
        self.running.lock().observer = Some(relay.observer());
        let listener = (self.breakage.listener)(self.network.listen(life));
        relay.run_erased(Some(listener), Arc::new(AllowAll), self.network.connector(life), shutdown).await
    }

    /// The relay ended by itself, or because it was asked to.
    fn ended(&self, life: &Life, shutdown: &CancellationToken, ended: &Result<(), RelayError>) {
        self.world.note(&self.host, format_args!("ended: {ended:?}"));
        let due = match ended {
            Ok(()) => shutdown.is_cancelled(),
            // The others took it for dead.
            Err(RelayError::Store(StoreError::Retired)) => true,
            Err(RelayError::Store(error)) => self.disk_fails || self.store_goes_away && error.is_transient(),
            Err(_) => false,
        };
        self.world.holds("relays do not fail", due, || format!("{} ended: {ended:?}", self.host));
        self.network.kill(life, None);
        self.disk.cut_off(&self.host);
    }

    /// Ends the relay as a crash does. It is started again once `down_for` has passed.
    pub(crate) fn crash(&self, crash: Crash, down_for: Duration) {
        let mut running = self.running.lock();
        let Some(life) = running.life.clone().filter(|life| !life.is_over()) else { return };
        self.world.note(&self.host, format_args!("crashes: {crash:?}, for {down_for:?}"));
        running.down_until = Some(Instant::now() + down_for);
        running.observer = None;
        running.crashed.cancel();
        drop(running);
        self.network.kill(&life, Some(crash));
        self.disk.cut_off(&self.host);
    }

    /// Asks the relay to end in order. It is started again.
    pub(crate) fn shut_down(&self, down_for: Duration) {
        let mut running = self.running.lock();
        self.world.note(&self.host, format_args!("is asked to end, for {down_for:?}"));
        running.down_until = Some(Instant::now() + down_for);
        running.shutdown.cancel();
    }

    /// What the relay shows of itself, if it runs.
    pub(crate) fn observe(&self) -> Option<Observation> {
        let running = self.running.lock();
        let observer =
            running.observer.clone().filter(|_| running.life.as_ref().is_some_and(|life| !life.is_over()))?;
        drop(running);
        Some(self.disk.at_once(observer.observe()))
    }
}
