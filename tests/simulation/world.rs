//! What all of a simulation shares: its time, its randomness, its trace, and the first invariant that was broken.

use std::collections::VecDeque;
use std::fmt;
use std::hash::Hasher as _;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::Xxh3;

/// How many events a failure shows.
const LAST_EVENTS: usize = 120;

/// Most events at one instant of simulated time. Beyond it something goes round without getting on.
const MOST_EVENTS_AT_ONCE: u64 = 2_000_000;

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    /// Its name, as `docs/simulation.md` lists it.
    pub(crate) invariant: &'static str,
    /// What was seen.
    pub(crate) what: String,
}

/// The world of one simulation. All of it follows from the seed.
#[derive(Debug)]
pub(crate) struct World {
    began: Instant,
    prints: bool,
    randomness: Mutex<fastrand::Rng>,
    trace: Mutex<Trace>,
    violation: Mutex<Option<Violation>>,
    stopped: CancellationToken,
}

struct Trace {
    hash: Xxh3,
    events: u64,
    last: VecDeque<String>,
    instant: Duration,
    at_once: u64,
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("events", &self.events).finish_non_exhaustive()
    }
}

impl World {
    /// A world that begins now. To be called within the simulation's runtime.
    pub(crate) fn new(seed: u64, prints: bool) -> Self {
        let trace = Trace { hash: Xxh3::new(), events: 0, last: VecDeque::new(), instant: Duration::ZERO, at_once: 0 };
        Self {
            began: Instant::now(),
            prints,
            randomness: Mutex::new(fastrand::Rng::with_seed(seed)),
            trace: Mutex::new(trace),
            violation: Mutex::default(),
            stopped: CancellationToken::new(),
        }
    }

    /// Simulated time since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// A source of randomness for one part of the world.
    pub(crate) fn randomness(&self) -> fastrand::Rng {
        self.randomness.lock().fork()
    }

    /// Notes an event. The hash of all events is what two runs of a seed must agree on, so nothing goes in that does
    /// not follow from the seed.
    pub(crate) fn note(&self, who: impl fmt::Display, what: impl fmt::Display) {
        let at = self.elapsed();
        let event = format!("{:>12.3}s {who}: {what}", at.as_secs_f64());
        if self.prints {
            println!("{event}");
        }
        let mut trace = self.trace.lock();
        trace.hash.write(event.as_bytes());
        trace.events += 1;
        trace.at_once = if trace.instant == at { trace.at_once + 1 } else { 0 };
        trace.instant = at;
        if trace.last.len() == LAST_EVENTS {
            trace.last.pop_front();
        }
        trace.last.push_back(event);
        let stands_still = trace.at_once > MOST_EVENTS_AT_ONCE;
        drop(trace);
        if stands_still {
            self.violated("time goes on", format!("{MOST_EVENTS_AT_ONCE} events at {at:?}"));
        }
    }

    /// Notes that an invariant does not hold. The first one counts, and ends the simulation.
    pub(crate) fn violated(&self, invariant: &'static str, what: impl Into<String>) {
        let mut violation = self.violation.lock();
        if violation.is_none() {
            *violation = Some(Violation { invariant, what: what.into() });
            self.stopped.cancel();
        }
    }

    /// Asserts an invariant; `what` says what was seen instead.
    pub(crate) fn holds(&self, invariant: &'static str, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.violated(invariant, what());
        }
    }

    /// Returns when an invariant was broken.
    pub(crate) async fn stopped(&self) {
        self.stopped.cancelled().await;
    }

    pub(crate) fn violation(&self) -> Option<Violation> {
        self.violation.lock().clone()
    }

    /// How many events there were, and their hash.
    pub(crate) fn fingerprint(&self) -> (u64, u64) {
        let trace = self.trace.lock();
        (trace.events, trace.hash.digest())
    }

    /// The last events, the newest last.
    pub(crate) fn last_events(&self) -> Vec<String> {
        self.trace.lock().last.iter().cloned().collect()
    }
}
