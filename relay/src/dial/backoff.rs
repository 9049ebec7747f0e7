//! How long a dialler, or `slipstream listen`, waits before it dials again. Pure: chance and time are the caller's.

use std::time::Duration;

use super::DialLimits;

/// No pause is shorter, so that a server which ends each link at once is not dialled without rest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

/// The pauses between links with one peer.
#[derive(Debug)]
pub struct Backoff {
    limits: DialLimits,
    /// The upper bound of the next pause while the circuit is closed.
    pause: Duration,
    /// Failed dials in a row.
    failures: u32,
}

impl Backoff {
    /// A circuit that is closed.
    pub fn new(limits: DialLimits) -> Self {
        let pause = limits.first_pause;
        Self { limits, pause, failures: 0 }
    }

    /// Failed dials in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether the circuit is open.
    pub fn is_open(&self) -> bool {
        self.failures >= self.limits.attempts
    }

    /// A dial has failed. Answers whether that opens the circuit.
    pub fn failed(&mut self) -> bool {
        let was_open = self.is_open();
        self.failures = self.failures.saturating_add(1);
        self.is_open() && !was_open
    }

    /// The peer has a link. Answers whether that closes the circuit.
    pub fn linked(&mut self) -> bool {
        let was_open = self.is_open();
        self.failures = 0;
        was_open
    }

    /// The peer's link has ended, after that long.
    pub fn ended(&mut self, up: Duration) {
        if up >= self.pause {
            self.pause = self.limits.first_pause;
        }
    }

    /// How long to wait now. `jitter` takes a duration and gives some part of it.
    pub fn pause(&mut self, jitter: impl FnOnce(Duration) -> Duration) -> Duration {
        if self.is_open() {
            return self.limits.open_pause.max(SHORTEST_PAUSE);
        }
        let pause = self.pause;
        self.pause = pause.saturating_mul(2).min(self.limits.longest_pause.max(self.limits.first_pause));
        jitter(pause).max(SHORTEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn backoff() -> Backoff {
        let limits = DialLimits { attempts: 3, open_pause: seconds(90), ..DialLimits::default() };
        Backoff::new(limits)
    }

    fn whole(pause: Duration) -> Duration {
        pause
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut backoff = backoff();
        let pauses: Vec<_> = (0..6).map(|_| backoff.pause(whole).as_secs()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 60, 60]);
    }

    #[test]
    fn jitter_takes_any_part_of_a_pause_but_never_all_of_it() {
        let mut backoff = backoff();
        assert_eq!(backoff.pause(|pause| pause / 5), seconds(1));
        assert_eq!(backoff.pause(|_| Duration::ZERO), SHORTEST_PAUSE);
        assert_eq!(backoff.pause(whole), seconds(20), "what chance took off does not count for the next");
    }

    #[test]
    fn a_link_that_lasted_brings_the_first_pause_back_and_a_short_one_does_not() {
        let mut backoff = backoff();
        backoff.pause(whole);
        backoff.pause(whole);
        backoff.linked();
        backoff.ended(seconds(19));
        assert_eq!(backoff.pause(whole), seconds(20));
        backoff.ended(seconds(40));
        assert_eq!(backoff.pause(whole), seconds(5));
    }

    #[test]
    fn the_circuit_opens_once_and_closes_with_the_next_link() {
        let mut backoff = backoff();
        assert_eq!([(); 5].map(|()| backoff.failed()), [false, false, true, false, false]);
        assert_eq!((backoff.is_open(), backoff.failures()), (true, 5));
        assert_eq!(backoff.pause(|_| Duration::ZERO), seconds(90), "an open circuit is dialled steadily");
        assert!(backoff.linked() && !backoff.is_open() && backoff.failures() == 0);
        assert!(!backoff.linked(), "it was closed already");
        assert!(!backoff.failed(), "failures before the link do not count any more");
    }
}
