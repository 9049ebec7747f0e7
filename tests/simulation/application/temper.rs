//! How an application answers what it gets. What it does with a message follows from the message and its own seed, so
//! that it does the same each time, unless it is in a stretch of refusing everything.

use std::hash::{Hash as _, Hasher as _};
use std::time::Duration;

use slipstream::store::Identity;
use xxhash_rust::xxh3::Xxh3;

/// How often an application has a stretch of refusing everything for now, where it has any.
const STRETCHES_EVERY: Duration = Duration::from_secs(30);

/// How an application is. Shares are of a thousand messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Temper {
    /// Most of the time that it takes for an answer.
    pub(crate) delay: Duration,
    /// Messages that it takes much longer for, and how long.
    pub(crate) tardy: u32,
    pub(crate) long_delay: Duration,
    /// Messages whose first ACK gets lost on its side.
    pub(crate) loses: u32,
    /// Messages that it never answers.
    pub(crate) ignores: u32,
    /// Messages that it refuses for now, once or twice.
    pub(crate) postpones: u32,
    /// Messages that it refuses for good.
    pub(crate) rejects: u32,
    /// How long the stretches last in which it refuses everything for now.
    pub(crate) stretches: Duration,
    /// How long it pauses before it reads the next text.
    pub(crate) reads_after: Duration,
    /// A message that it dies of, whenever it gets it.
    pub(crate) dies_of: Option<Identity>,
}

impl Temper {
    /// It answers everything soon.
    pub(crate) fn prompt() -> Self {
        Self {
            delay: Duration::from_millis(20),
            tardy: 0,
            long_delay: Duration::ZERO,
            loses: 0,
            ignores: 0,
            postpones: 0,
            rejects: 0,
            stretches: Duration::ZERO,
            reads_after: Duration::ZERO,
            dies_of: None,
        }
    }

    /// It takes its time, loses answers, refuses, and now and then says nothing at all.
    pub(crate) fn moody() -> Self {
        Self {
            tardy: 20,
            long_delay: Duration::from_secs(50),
            loses: 20,
            ignores: 5,
            postpones: 20,
            rejects: 10,
            ..Self::prompt()
        }
    }

    /// What it does with a message that has come that many times, the last time at that time of the simulation.
    pub(crate) fn answer(&self, seed: u64, identity: &Identity, times: u32, at: Duration) -> Reaction {
        let mut hash = Xxh3::with_seed(seed);
        identity.hash(&mut hash);
        let mut randomness = fastrand::Rng::with_seed(hash.finish());
        let mut draw = randomness.u32(0..1000);
        let mut falls_on = |share: u32| {
            let hit = draw < share;
            draw = draw.wrapping_sub(share);
            hit
        };
        if self.dies_of.as_ref() == Some(identity) {
            return Reaction::Die;
        }
        let (ignores, loses) = (falls_on(self.ignores), falls_on(self.loses));
        let (postpones, rejects, tardy) = (falls_on(self.postpones), falls_on(self.rejects), falls_on(self.tardy));
        let delay = if tardy { self.long_delay } else { self.delay.mul_f64(randomness.f64()) };
        let patience = randomness.u32(1..=2);
        let shifted = (at + Duration::from_secs(7 * seed)).as_millis() % STRETCHES_EVERY.as_millis();
        if shifted < self.stretches.as_millis() {
            Reaction::Postpone(delay)
        } else if ignores || (loses && times == 1) {
            Reaction::None
        } else if rejects {
            Reaction::Reject(delay)
        } else if postpones && times <= patience {
            Reaction::Postpone(delay)
        } else {
            Reaction::Acknowledge { after: delay, late: tardy }
        }
    }
}

/// What an application does with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reaction {
    None,
    Acknowledge {
        after: Duration,
        late: bool,
    },
    Postpone(Duration),
    Reject(Duration),
    /// It crashes, and comes back.
    Die,
}
