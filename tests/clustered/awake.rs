//! For how long each process has run without being stopped.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The time that processes were awake. A process that stands still cannot be blamed for it.
#[derive(Debug)]
pub(crate) struct Awake {
    since: Instant,
    stops: Mutex<Vec<Stops>>,
}

#[derive(Debug, Clone, Default)]
struct Stops {
    /// How long the stops lasted that are over.
    over: Duration,
    /// When the one began that lasts.
    stopped: Option<Instant>,
}

impl Awake {
    pub(crate) fn new(processes: usize) -> Self {
        Self { since: Instant::now(), stops: Mutex::new(vec![Stops::default(); processes]) }
    }

    /// A process stands still from now on.
    pub(crate) fn stopped(&self, process: usize) {
        self.stops.lock()[process].stopped = Some(Instant::now());
    }

    /// It goes on.
    pub(crate) fn goes_on(&self, process: usize) {
        let stops = &mut self.stops.lock()[process];
        if let Some(stopped) = stops.stopped.take() {
            stops.over += stopped.elapsed();
        }
    }

    /// How long a process has been awake since the beginning.
    pub(crate) fn time(&self, process: usize) -> Duration {
        let stops = self.stops.lock()[process].clone();
        let until = stops.stopped.map_or_else(|| self.since.elapsed(), |stopped| stopped - self.since);
        until.saturating_sub(stops.over)
    }
}
