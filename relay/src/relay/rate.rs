//! A rate, and what it lets through.

use std::num::NonZeroU32;
use std::time::Duration;

use parking_lot::Mutex;

/// A rate with bursts of up to a second's messages (the generic cell rate algorithm).
#[derive(Debug)]
pub(super) struct Rate {
    a_second: NonZeroU32,
    /// Until when what was let through would have taken at the even rate.
    taken_until: Mutex<Duration>,
}

impl Rate {
    const BURST: Duration = Duration::from_secs(1);

    pub(super) fn new(a_second: NonZeroU32) -> Self {
        Self { a_second, taken_until: Mutex::default() }
    }

    /// Lets something through that comes now, or answers how much may come in a second. What is not let through does not
    /// count. `now` is on the clock's own scale.
    pub(super) fn permits(&self, now: Duration) -> Result<(), NonZeroU32> {
        let mut taken_until = self.taken_until.lock();
        let then = (*taken_until).max(now) + Self::BURST / self.a_second.get();
        if then > now + Self::BURST {
            return Err(self.a_second);
        }
        *taken_until = then;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_allows_a_second_of_messages_at_once_and_then_the_rate() {
        let rate = Rate::new(NonZeroU32::new(10).unwrap());
        let let_through = |from: u64, until: u64| {
            let millis = (from..until).map(|millis| Duration::from_secs(5) + Duration::from_millis(millis));
            millis.filter(|now| rate.permits(*now).is_ok()).count()
        };
        assert_eq!(let_through(0, 1), 1);
        assert_eq!(let_through(1, 50), 9, "the rest of the burst");
        assert_eq!(let_through(50, 1_050), 10, "one each tenth of a second");
        assert_eq!(let_through(60_000, 60_050), 10, "no more than a second's messages are saved up");
    }
}
