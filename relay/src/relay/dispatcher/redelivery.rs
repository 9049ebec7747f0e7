//! When a delivery is sent again: after a timeout, or after the peer refused it for now. Pure.

use std::time::Duration;

use slipstream_store::Sequence;

use crate::relay::settings::DeliveryRules;

/// Of how much of itself a timeout may be longer, by its jitter.
const JITTER: f64 = 0.25;

/// After how long a delivery that was republished `attempts` times is republished, or given up.
///
/// It doubles with each attempt. The jitter only lengthens it, and is a hash of the delivery: what was sent together
/// does not come again together, and the schedule needs no randomness.
pub(super) fn timeout(rules: &DeliveryRules, attempts: u32, sequence: Sequence) -> Duration {
    let doubled = rules.ack_timeout.saturating_mul(1_u32.checked_shl(attempts).unwrap_or(u32::MAX));
    // The golden ratio's multiples are spread evenly, also for neighbours.
    let hash = (sequence.get() ^ u64::from(attempts)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    #[expect(clippy::cast_precision_loss, reason = "24 bits fit")]
    let fraction = hash as f64 / f64::from(1 << 24);
    doubled.saturating_add(Duration::try_from_secs_f64(doubled.as_secs_f64() * JITTER * fraction).unwrap_or_default())
}

/// What holds a peer's deliveries back: it refused one for now. Nothing is sent during the pause, and after it only
/// the refused delivery and older ones, until the peer has answered the refused one; so nothing newer overtakes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hold {
    /// The oldest delivery that was refused.
    refused: Sequence,
    pause: Duration,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing is sent until then.
    Pausing { until: Duration },
    /// The refused delivery may go out, and older ones that the peer did not answer in time.
    Ready,
    /// It is out again.
    Asking,
}

impl Hold {
    /// The peer refuses a delivery for now.
    pub(super) fn refused(hold: Option<Self>, sequence: Sequence, now: Duration, rules: &DeliveryRules) -> Self {
        let pausing = |pause| Self { refused: sequence, pause, stage: Stage::Pausing { until: now + pause } };
        match hold {
            None => pausing(rules.first_pause),
            Some(hold) if hold.refused == sequence && hold.stage == Stage::Asking => {
                pausing(hold.pause.saturating_mul(2).min(rules.longest_pause))
            }
            Some(Self { stage: Stage::Asking, pause, refused }) if sequence < refused => {
                Self { refused: sequence, pause, stage: Stage::Ready }
            }
            Some(hold) => Self { refused: hold.refused.min(sequence), ..hold },
        }
    }

    /// Whether this is the delivery that the peer refused, or that goes out in its place.
    pub(super) fn waits_for(&self, sequence: Sequence) -> bool {
        self.refused == sequence
    }

    /// Time goes by; whether the pause has ended with this.
    pub(super) fn tick(&mut self, now: Duration) -> bool {
        let ends = matches!(self.stage, Stage::Pausing { until } if now >= until);
        if ends {
            self.stage = Stage::Ready;
        }
        ends
    }

    /// When the pause ends, while there is one.
    pub(super) fn ends_at(&self) -> Option<Duration> {
        match self.stage {
            Stage::Pausing { until } => Some(until),
            Stage::Ready | Stage::Asking => None,
        }
    }

    /// Whether this delivery may be sent again now.
    pub(super) fn permits(&self, sequence: Sequence) -> bool {
        self.stage == Stage::Ready && sequence <= self.refused
    }

    /// A delivery goes out again.
    pub(super) fn sent(&mut self, sequence: Sequence) {
        if sequence == self.refused {
            self.stage = Stage::Asking;
        }
    }

    /// The peer did not answer in time; where that was the refused delivery, it may go out again.
    pub(super) fn unanswered(&mut self, sequence: Sequence) {
        if self.refused == sequence && self.stage == Stage::Asking {
            self.stage = Stage::Ready;
        }
    }

    /// A delivery has ended. The end of the refused one lifts the hold, unless it came before the peer was asked
    /// again: then the next one that is to be sent again takes its place.
    pub(super) fn ended(self, sequence: Sequence, next: impl FnOnce() -> Option<Sequence>) -> Option<Self> {
        match self.stage {
            _ if self.refused != sequence => Some(self),
            Stage::Asking => None,
            Stage::Pausing { .. } | Stage::Ready => next().map(|refused| Self { refused, ..self }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn sequence(number: u64) -> Sequence {
        Sequence::new(number).unwrap()
    }

    #[test]
    fn a_timeout_doubles_and_its_jitter_only_lengthens_it() {
        let rules = DeliveryRules::default();
        let mut spread = std::collections::BTreeSet::new();
        for attempts in 0..4 {
            let least = rules.ack_timeout * 2_u32.pow(attempts);
            for number in 1..1_000 {
                let timeout = timeout(&rules, attempts, sequence(number));
                assert!(timeout >= least && timeout <= least.mul_f64(1.0 + JITTER), "{attempts} {number} {timeout:?}");
                spread.insert(timeout);
            }
        }
        assert!(spread.len() > 3_900, "jitter spreads: {}", spread.len());
        assert!(timeout(&rules, u32::MAX, sequence(1)) > Duration::from_secs(3600), "no overflow");
    }

    #[test]
    fn the_pause_doubles_while_the_same_delivery_is_refused() {
        let rules = DeliveryRules::default();
        let mut now = Duration::ZERO;
        let mut hold = Hold::refused(None, sequence(5), now, &rules);
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            let pause = pause * SECOND;
            assert_eq!(hold.ends_at(), Some(now + pause));
            assert!(!hold.tick(now + pause - Duration::from_millis(1)) && !hold.permits(sequence(5)));
            // Others that were in flight are refused too; that changes nothing.
            hold = Hold::refused(Some(hold), sequence(6), now + pause / 2, &rules);
            now += pause;
            assert!(hold.tick(now) && hold.permits(sequence(5)) && !hold.permits(sequence(6)));
            hold.sent(sequence(5));
            assert!(!hold.tick(now + 100 * SECOND) && !hold.permits(sequence(5)), "it waits for the answer");
            hold = Hold::refused(Some(hold), sequence(5), now, &rules);
        }
    }

    #[test]
    fn the_oldest_refused_delivery_goes_first() {
        let rules = DeliveryRules::default();
        let mut hold = Hold::refused(None, sequence(5), Duration::ZERO, &rules);
        hold = Hold::refused(Some(hold), sequence(3), SECOND / 2, &rules);
        assert!(hold.tick(SECOND) && hold.permits(sequence(3)) && !hold.permits(sequence(4)));
        assert_eq!(hold.ended(sequence(5), || None), Some(hold));
        assert_eq!(hold.ended(sequence(3), || None), None);
        assert!(hold.ended(sequence(3), || Some(sequence(5))).is_some_and(|hold| hold.permits(sequence(5))));
        // What is older goes out too, and is not what the hold waits for.
        hold.sent(sequence(1));
        assert!(hold.permits(sequence(3)));
        hold.sent(sequence(3));
        assert_eq!(hold.ended(sequence(3), || Some(sequence(5))), None);
        hold.unanswered(sequence(5));
        assert!(!hold.permits(sequence(3)));
        hold.unanswered(sequence(3));
        assert!(hold.permits(sequence(3)));
        // One that is older still was in flight all the while.
        hold.sent(sequence(3));
        hold = Hold::refused(Some(hold), sequence(2), SECOND, &rules);
        assert!(hold.permits(sequence(2)) && !hold.permits(sequence(3)));
    }
}
