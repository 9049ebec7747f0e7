//! When each message of a paced load is to be sent. Pure.

use std::num::{NonZeroU16, NonZeroU32};

use super::plan::whole;

/// A schedule at a fixed rate; publishers take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Schedule {
    pub(super) start: u64,
    pub(super) rate: NonZeroU32,
    pub(super) publishers: NonZeroU16,
}

impl Schedule {
    /// When the message after `messages` of all publishers is due, in nanoseconds since the load began.
    pub(super) fn turn(&self, messages: u64) -> u64 {
        self.start + whole(u128::from(messages) * 1_000_000_000 / u128::from(self.rate.get()))
    }

    /// When a publisher's message after `messages` of its own is due.
    pub(super) fn due(&self, publisher: u16, messages: u64) -> u64 {
        self.turn(messages * u64::from(self.publishers.get()) + u64::from(publisher))
    }

    /// How many messages of all publishers are due by now.
    pub(super) fn elapsed(&self, now: u64) -> u64 {
        match now.checked_sub(self.start) {
            // The last one counts that is due at this very nanosecond: turns are rounded down.
            Some(since) => whole(((u128::from(since) + 1) * u128::from(self.rate.get()) - 1) / 1_000_000_000 + 1),
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn schedule(rate: u32, publishers: u16) -> Schedule {
        let rate = NonZeroU32::new(rate).expect("not 0");
        Schedule { start: 1_000, rate, publishers: NonZeroU16::new(publishers).expect("not 0") }
    }

    #[test]
    fn publishers_take_turns_at_even_distances() {
        let schedule = schedule(1_000, 2);
        let due = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(publisher, messages)| schedule.due(publisher, messages));
        assert_eq!(due, [1_000, 1_001_000, 2_001_000, 3_001_000]);
    }

    #[test]
    fn the_schedule_does_not_drift() {
        let schedule = schedule(3_000_000, 1);
        assert_eq!(schedule.due(0, 3_000_000 * 3_600), 1_000 + 3_600_000_000_000);
    }

    proptest! {
        #[test]
        fn what_is_due_is_what_has_elapsed(rate in 1..5_000_000_u32, messages in 0..1_000_000_u64) {
            let schedule = schedule(rate, 1);
            let due = schedule.due(0, messages);
            prop_assert_eq!(schedule.elapsed(due), messages + 1);
            prop_assert_eq!(schedule.elapsed(due - 1), messages);
        }
    }
}
