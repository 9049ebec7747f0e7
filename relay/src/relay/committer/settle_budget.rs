//! How many decisions a batch takes, and when, so that those who wait for a confirm do not wait for somebody's backlog.
//! Pure.
//!
//! A commit lasts about as long as it has operations, and a message waits for the commit that runs and for its own.
//! Beside traffic a batch therefore settles a few deliveries, and as many as the messages of late have made: what
//! traffic makes is settled as fast as it is made, and what was owed before it comes little by little. Without
//! traffic nobody waits, and batches are as large as they may be.

use std::time::Duration;

/// How long traffic counts as going on after a message.
const TRAFFIC_LASTS: Duration = Duration::from_secs(1);

/// The decisions that a batch may take beside any traffic.
const BESIDE_TRAFFIC: usize = 256;

/// Of the deliveries that were made, one part in so many is forgotten with each batch.
const FADES: usize = 8;

/// How long decisions wait for messages to be committed with: half of the commits are saved where messages are few, and
/// none of them is in the way of a message. After a crash the deliveries of that time are sent again.
const PAUSE: Duration = Duration::from_millis(5);

/// How many decisions the next batch may take.
#[derive(Debug, Default)]
pub(super) struct SettleBudget {
    last_message: Option<Duration>,
    /// The deliveries made by the batches of late.
    made: usize,
    /// Whether the last batch took as many decisions as it might, so that more may wait.
    left: bool,
}

impl SettleBudget {
    /// How long decisions wait for a message from now on.
    pub(super) fn pause(&self) -> Duration {
        if self.left { Duration::ZERO } else { PAUSE }
    }

    /// A batch took so many decisions, of `most` that it might take.
    pub(super) fn took(&mut self, decisions: usize, most: usize) {
        self.left = decisions >= most;
    }

    /// How many decisions the next batch takes, `most` at most. Its messages make `makes` deliveries; `None` where
    /// there is no message. `now` is on the clock's own scale.
    pub(super) fn next(&mut self, makes: Option<usize>, now: Duration, most: usize) -> usize {
        if makes.is_some() {
            self.last_message = Some(now);
        }
        self.made = (self.made - self.made.div_ceil(FADES)).saturating_add(makes.unwrap_or(0));
        let traffic = self.last_message.is_some_and(|at| now.saturating_sub(at) < TRAFFIC_LASTS);
        if traffic { BESIDE_TRAFFIC.saturating_add(self.made).min(most) } else { most }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 8_192;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn without_traffic_a_batch_takes_all_it_may() {
        let mut budget = SettleBudget::default();
        assert_eq!(budget.next(None, at(0), MOST), MOST);
        budget.next(Some(1), at(10), MOST);
        assert_eq!(budget.next(None, at(1_010), MOST), MOST);
    }

    #[test]
    fn decisions_wait_for_a_message_but_not_where_a_batch_could_not_take_all() {
        let mut budget = SettleBudget::default();
        assert_eq!(budget.pause(), PAUSE);
        budget.took(10, 10);
        assert_eq!(budget.pause(), Duration::ZERO);
        budget.took(9, 10);
        assert_eq!(budget.pause(), PAUSE);
    }

    #[test]
    fn beside_a_trickle_a_backlog_is_settled_little_by_little() {
        let mut budget = SettleBudget::default();
        for number in 0..1_000 {
            let makes = (number % 3 == 0).then_some(1);
            assert!(budget.next(makes, at(number), MOST) <= BESIDE_TRAFFIC + FADES);
        }
        // A message that nobody wants makes nothing, and its sender waits all the same.
        assert!(budget.next(Some(0), at(2_500), MOST) <= BESIDE_TRAFFIC + FADES);
    }

    #[test]
    fn what_traffic_makes_is_settled_as_fast_as_it_is_made() {
        for makes in [1, 50, 2_000, 8_000] {
            let mut budget = SettleBudget::default();
            let mut owed = 0;
            for number in 0..1_000 {
                owed += makes;
                owed -= budget.next(Some(makes), at(number), MOST).min(owed);
            }
            assert_eq!(owed, 0, "{makes} a batch");
        }
    }

    #[test]
    fn a_burst_is_settled_in_large_batches_though_no_more_comes() {
        let mut budget = SettleBudget::default();
        budget.next(Some(25_000), at(0), MOST);
        let settled: usize = (1..=4).map(|number| budget.next(None, at(number), MOST)).sum();
        assert!(settled >= 25_000, "{settled}");
    }
}
