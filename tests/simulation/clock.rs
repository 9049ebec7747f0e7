//! The clock of one life of a relay: simulated time, shifted by what the machine's clock is wrong by.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use slipstream::clock::Clock;
use slipstream::store::Timestamp;
use ulid::Ulid;

use crate::world::World;

/// When every simulation begins, in milliseconds since the Unix epoch.
const BEGINNING: u64 = 1_767_225_600_000;

/// The clock of a machine, which outlives the relays on it.
#[derive(Debug, Clone, Default)]
pub(crate) struct MachineClock {
    wrong_by: Arc<AtomicI64>,
}

impl MachineClock {
    /// Sets the clock forward, or back.
    pub(crate) fn jump(&self, millis: i64) {
        self.wrong_by.fetch_add(millis, Ordering::Relaxed);
    }

    /// What the machine takes the time for.
    pub(crate) fn now(&self, world: &World) -> Timestamp {
        let elapsed = u64::try_from(world.elapsed().as_millis()).expect("a simulation is shorter than that");
        let millis = BEGINNING + elapsed;
        Timestamp::from_millis(millis.saturating_add_signed(self.wrong_by.load(Ordering::Relaxed)))
    }
}

/// The clock that one run of a relay gets.
pub(crate) struct SimClock {
    world: Arc<World>,
    machine: MachineClock,
    latest: AtomicU64,
    randomness: Mutex<fastrand::Rng>,
    last_id: Mutex<Ulid>,
}

impl SimClock {
    pub(crate) fn new(world: &Arc<World>, machine: &MachineClock) -> Self {
        Self {
            randomness: Mutex::new(world.randomness()),
            world: Arc::clone(world),
            machine: machine.clone(),
            latest: AtomicU64::new(0),
            last_id: Mutex::new(Ulid::from_parts(0, 0)),
        }
    }
}

impl fmt::Debug for SimClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimClock")
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let now = self.machine.now(&self.world).as_millis();
        Timestamp::from_millis(self.latest.fetch_max(now, Ordering::Relaxed).max(now))
    }

    fn elapsed(&self) -> Duration {
        self.world.elapsed()
    }

    fn ulid(&self) -> Ulid {
        let random = self.randomness.lock().u128(..);
        let mut last = self.last_id.lock();
        let fresh = Ulid::from_parts(self.now().as_millis(), random);
        *last = if fresh > *last { fresh } else { Ulid::from(u128::from(*last) + 1) };
        *last
    }

    fn random(&self) -> u64 {
        self.randomness.lock().u64(..)
    }
}
