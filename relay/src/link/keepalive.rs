//! Whether the peer lives: pings, and when a link is given up.
//!
//! Three things are signs of life: a byte that came, a byte that had to wait for the peer and was then taken, and a
//! delivery that the peer settled. What goes into buffers at once proves nothing, because those of a machine that is
//! no longer reached take a few bytes, too. So a big message on a slow link is not cut, and a dead peer is found in
//! the same time whether or not something is sent to it.
//!
//! Silence is counted in time that this process saw pass. After it was stopped, what the peer sent meanwhile is read
//! before the peer is judged.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::sent::{Sent, Standing};
use super::silence::Silence;
use super::{LinkControl, LinkLimits};

/// A timer that fires so late was not late by chance: the process was stopped, or had no processor.
const STOPPED: Duration = Duration::from_millis(100);

/// Most of the idle timeout that passes between two looks.
const LOOKS: u32 = 4;

/// Why a link is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lifeless {
    /// No sign of life for the idle timeout.
    Silent,
    /// There was something to write, and nothing was taken for the idle timeout.
    Stalled,
}

/// Pings a peer that falls silent, or that has heard nothing for a while: so each end hears something at least once
/// a heartbeat, also while it writes a message that takes long. Returns when the link is to be given up.
pub(super) async fn keep_alive(silence: &Silence, sent: &Sent, control: &LinkControl, limits: &LinkLimits) -> Lifeless {
    let mut signs = Signs::new(sent.standing(), Instant::now());
    let mut pinged = Instant::now();
    loop {
        let now = Instant::now();
        let silent_since = signs.silent_since(silence, now);
        signs.look(sent.standing(), control.settled(), now);
        let idle_at = silent_since.max(signs.taken_at) + limits.idle_timeout;
        let stalled_at = signs.stuck_since.map(|since| since + limits.idle_timeout);
        if now >= idle_at {
            return Lifeless::Silent;
        }
        if stalled_at.is_some_and(|at| now >= at) {
            return Lifeless::Stalled;
        }
        let ping_at = silent_since.min(signs.last.written_at).max(pinged) + limits.heartbeat;
        if now >= ping_at {
            control.ping();
            pinged = now;
            continue;
        }
        let next_look = now + limits.idle_timeout / LOOKS;
        let until = idle_at.min(stalled_at.unwrap_or(idle_at)).min(ping_at).min(next_look);
        sleep_until(until).await;
        let now = Instant::now();
        let late = now.saturating_duration_since(until);
        if late >= STOPPED {
            signs.forgive(silence, late, now);
        }
    }
}

/// The signs of a peer's life, from one look to the next.
#[derive(Debug)]
struct Signs {
    last: Standing,
    settled: u64,
    /// Silence before this does not count.
    from: Instant,
    /// When something that had to wait was last seen to be taken.
    taken_at: Instant,
    /// Since when there is something to take and nothing is taken.
    stuck_since: Option<Instant>,
}

impl Signs {
    fn new(standing: Standing, now: Instant) -> Self {
        Self { last: standing, settled: 0, from: now, taken_at: now, stuck_since: None }
    }

    /// Since when the peer is silent; one that is not silent now is looked at again a heartbeat later.
    fn silent_since(&self, silence: &Silence, now: Instant) -> Instant {
        silence.since().map_or(now, |since| since.max(self.from))
    }

    fn look(&mut self, standing: Standing, settled: u64, now: Instant) {
        let resumed = standing.resumed != self.last.resumed;
        let taken = standing.taken > self.last.taken;
        if resumed || (taken && self.last.is_owed) {
            self.taken_at = now;
        }
        let moves = resumed || taken || settled != self.settled;
        self.stuck_since = match self.stuck_since {
            _ if !standing.is_owed => None,
            Some(since) if !moves => Some(since),
            _ => Some(now),
        };
        (self.last, self.settled) = (standing, settled);
    }

    /// This process did not run for a while, which is not the peer's silence. As long again is given to read what came
    /// meanwhile.
    fn forgive(&mut self, silence: &Silence, late: Duration, now: Instant) {
        let later = |at: Instant| (at + late * 2).min(now);
        self.from = later(self.silent_since(silence, now));
        self.taken_at = later(self.taken_at);
        self.stuck_since = self.stuck_since.map(later);
    }
}
