//! The clock of one life of a relay: simulated time, shifted by what the machine's clock is wrong by.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use slipstream::clock::{BELIEVED_AFTER, Clock, Reading, RelayTime, Step};
use slipstream::store::Timestamp;
use ulid::Ulid;

use crate::world::World;

/// When every simulation begins, in milliseconds since the Unix epoch.
const BEGINNING: u64 = 1_767_225_600_000;

/// The clock of a machine, which outlives the relays on it.
#[derive(Debug, Clone, Default)]
pub(crate) struct MachineClock {
    settings: Arc<Mutex<Settings>>,
}

#[derive(Debug, Default)]
struct Settings {
    wrong_by: i64,
    /// By how much it was wrong before, and until when.
    before: Vec<(Duration, i64)>,
}

impl MachineClock {
    /// Sets the clock forward, or back.
    pub(crate) fn jump(&self, world: &World, millis: i64) {
        let mut settings = self.settings.lock();
        let was_wrong_by = settings.wrong_by;
        settings.before.push((world.elapsed(), was_wrong_by));
        settings.wrong_by += millis;
    }

    /// What the machine takes the time for.
    pub(crate) fn now(&self, world: &World) -> Timestamp {
        wrong_time(world, self.settings.lock().wrong_by)
    }

    /// The latest time of day that a relay on this machine may believe in. A step must last before it is believed, so
    /// that while one follows the other it may go by what the clock was before all of them.
    pub(crate) fn latest(&self, world: &World) -> Timestamp {
        let settings = self.settings.lock();
        let (mut latest, mut followed_at) = (settings.wrong_by, world.elapsed());
        for (until, wrong_by) in settings.before.iter().rev() {
            if *until + BELIEVED_AFTER + Duration::from_secs(5) < followed_at {
                break;
            }
            (latest, followed_at) = (latest.max(*wrong_by), *until);
        }
        wrong_time(world, latest)
    }
}

fn wrong_time(world: &World, wrong_by: i64) -> Timestamp {
    let elapsed = u64::try_from(world.elapsed().as_millis()).expect("a simulation is shorter than that");
    Timestamp::from_millis((BEGINNING + elapsed).saturating_add_signed(wrong_by))
}

/// The clock that one run of a relay gets.
pub(crate) struct SimClock {
    world: Arc<World>,
    machine: MachineClock,
    time: RelayTime,
    randomness: Mutex<fastrand::Rng>,
    last_id: Mutex<Ulid>,
}

impl SimClock {
    pub(crate) fn new(world: &Arc<World>, machine: &MachineClock) -> Self {
        Self {
            randomness: Mutex::new(world.randomness()),
            world: Arc::clone(world),
            machine: machine.clone(),
            time: RelayTime::new(Reading { wall: machine.now(world), steady: world.elapsed() }),
            last_id: Mutex::new(Ulid::from_parts(0, 0)),
        }
    }

    fn read(&self) -> Reading {
        Reading { wall: self.machine.now(&self.world), steady: self.world.elapsed() }
    }
}

impl fmt::Debug for SimClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimClock")
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.time.time(self.world.elapsed())
    }

    fn wall(&self) -> Timestamp {
        self.time.wall(self.world.elapsed())
    }

    fn look(&self) -> Option<Step> {
        self.time.look(self.read())
    }

    fn resume(&self, remembered: Timestamp, unseen: Duration) -> Option<Step> {
        self.time.resume(remembered, unseen, self.read())
    }

    fn elapsed(&self) -> Duration {
        self.world.elapsed()
    }

    fn ulid(&self) -> Ulid {
        let random = self.randomness.lock().u128(..);
        let mut last = self.last_id.lock();
        let fresh = Ulid::from_parts(self.wall().as_millis(), random);
        *last = if fresh > *last { fresh } else { Ulid::from(u128::from(*last) + 1) };
        *last
    }

    fn random(&self) -> u64 {
        self.randomness.lock().u64(..)
    }
}
