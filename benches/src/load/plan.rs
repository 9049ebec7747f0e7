//! What a load is to be. Pure.

use std::num::{NonZeroU16, NonZeroU32, NonZeroU64};
use std::time::Duration;

use slipstream_relay::link::Secret;
use slipstream_relay::tls::ClientTls;

use super::text::{MAX_MESSAGES, MAX_PUBLISHERS, MAX_TIME};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Throughput: publishers that keep their window full, subscribers that acknowledge.
    Live,
    /// Latency at a fixed rate, in messages a second of all publishers together. Each message is timed from when the
    /// schedule has it, not from when there was room to send it: a relay that stalls is charged for all that had to
    /// wait ("coordinated omission").
    Paced(NonZeroU32),
    /// Messages are published while their subscribers are away; then those connect and take what is owed to them.
    Offline,
    /// As live, with many subscribers.
    FanOut,
}

impl Mode {
    /// Its name on the command line and in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Paced(_) => "paced",
            Self::Offline => "offline",
            Self::FanOut => "fan-out",
        }
    }
}

/// How long a load goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Until so many messages are published, by all publishers together.
    Messages(u64),
    /// For so long.
    For(Duration),
}

impl Goal {
    /// How many messages a schedule has by then; no limit where there is no schedule.
    pub(super) fn messages(self, rate: Option<NonZeroU32>) -> Option<u64> {
        match (self, rate) {
            (Self::Messages(messages), _) => Some(messages),
            (Self::For(time), Some(rate)) => Some(whole(time.as_nanos() * u128::from(rate.get()) / 1_000_000_000)),
            (Self::For(_), None) => None,
        }
    }
}

/// The share of one of `publishers` in `messages`: they differ by one at most.
pub(super) fn share(messages: u64, publisher: u16, publishers: NonZeroU16) -> u64 {
    let publishers = u64::from(publishers.get());
    messages / publishers + u64::from(u64::from(publisher) < messages % publishers)
}

/// A whole number that fits; the largest one otherwise.
pub(super) fn whole(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// A load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The relay, `ws://HOST:PORT/` or `wss://HOST:PORT/`.
    pub to: String,
    /// The token that it is shown, if there is one.
    pub token: Option<Secret>,
    /// The certificates for a `wss://` URL; `None` takes the servers that the system trusts.
    pub tls: Option<ClientTls>,
    /// What is measured.
    pub mode: Mode,
    /// How long it goes on.
    pub goal: Goal,
    /// What goes before it and is not measured.
    pub warmup: Option<Duration>,
    /// How many links publish.
    pub publishers: NonZeroU16,
    /// How many links subscribe; each gets every message.
    pub subscribers: u16,
    /// Most messages of a publisher that are not confirmed.
    pub window: NonZeroU32,
    /// Bytes of a message's value, its quotes included.
    pub payload: usize,
    /// How many keys each publisher goes round; without a number each message has its own.
    pub keys: Option<NonZeroU64>,
    /// Most messages that one ACK acknowledges. With 1 the relay is not offered to batch its ACKs either.
    pub ack_batch: NonZeroU16,
    /// After how long without any progress the rest is given up.
    pub patience: Duration,
}

/// A plan that cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: got {got}, expected {expected}")]
pub struct Impossible {
    what: &'static str,
    got: String,
    expected: String,
}

/// The shortest value: a string without characters.
pub const LEAST_PAYLOAD: usize = 2;

impl Plan {
    /// The rate of its schedule, where it has one.
    pub(super) fn rate(&self) -> Option<NonZeroU32> {
        match self.mode {
            Mode::Paced(rate) => Some(rate),
            Mode::Live | Mode::Offline | Mode::FanOut => None,
        }
    }

    /// # Errors
    /// What of it cannot be.
    pub(super) fn check(&self) -> Result<(), Impossible> {
        let fault = |what, got: String, expected: String| Err(Impossible { what, got, expected });
        if self.payload < LEAST_PAYLOAD {
            let expected = format!("at least {LEAST_PAYLOAD} bytes, the quotes of a string");
            return fault("payload", self.payload.to_string(), expected);
        }
        if self.publishers.get() > MAX_PUBLISHERS {
            return fault("publishers", self.publishers.to_string(), format!("at most {}", MAX_PUBLISHERS));
        }
        if self.mode == Mode::Offline && self.subscribers == 0 {
            return fault("subscribers", "0".to_owned(), "at least 1 to be away in mode offline".to_owned());
        }
        if self.mode == Mode::Offline && self.warmup.is_some() {
            return fault(
                "warm-up",
                "one".to_owned(),
                "none in mode offline, where nobody is there to take it".to_owned(),
            );
        }
        let longest = MAX_TIME / 2;
        match self.goal {
            Goal::Messages(0) => fault("messages", "0".to_owned(), "at least 1".to_owned()),
            Goal::Messages(messages) if messages > MAX_MESSAGES / 2 => {
                fault("messages", messages.to_string(), format!("at most {}", MAX_MESSAGES / 2))
            }
            Goal::For(time) if time.is_zero() || time > longest => {
                fault("duration", format!("{time:?}"), format!("more than none and at most {longest:?}"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(mode: Mode) -> Plan {
        Plan {
            token: None,
            tls: None,
            to: "ws://127.0.0.1:7171/".to_owned(),
            mode,
            goal: Goal::Messages(100),
            warmup: None,
            publishers: NonZeroU16::MIN,
            subscribers: 1,
            window: NonZeroU32::new(512).expect("not 0"),
            payload: 256,
            keys: None,
            ack_batch: NonZeroU16::new(128).expect("not 0"),
            patience: Duration::from_secs(60),
        }
    }

    #[test]
    fn shares_add_up_and_differ_by_one_at_most() {
        for (messages, publishers, shares) in [(10, 3, &[4, 3, 3][..]), (2, 3, &[1, 1, 0]), (9, 1, &[9])] {
            let publishers = NonZeroU16::new(publishers).expect("not 0");
            let got: Vec<u64> = (0..publishers.get()).map(|one| share(messages, one, publishers)).collect();
            assert_eq!(got, shares);
        }
    }

    #[test]
    fn a_schedule_turns_time_into_messages() {
        let rate = NonZeroU32::new(2_000);
        assert_eq!(Goal::For(Duration::from_millis(1_500)).messages(rate), Some(3_000));
        assert_eq!(Goal::For(Duration::from_millis(1_500)).messages(None), None);
        assert_eq!(Goal::Messages(7).messages(rate), Some(7));
    }

    #[test]
    fn what_cannot_be_is_named_with_its_value() {
        assert_eq!(plan(Mode::Live).check(), Ok(()));
        let told = |change: fn(&mut Plan)| {
            let mut plan = plan(Mode::Offline);
            change(&mut plan);
            plan.check().expect_err("impossible").to_string()
        };
        for (change, told_of) in [
            ((|plan| plan.payload = 1) as fn(&mut Plan), "payload: got 1, "),
            (|plan| plan.publishers = NonZeroU16::MAX, "publishers: got 65535, "),
            (|plan| plan.subscribers = 0, "subscribers: got 0, "),
            (|plan| plan.warmup = Some(Duration::from_secs(1)), "warm-up: "),
            (|plan| plan.goal = Goal::Messages(0), "messages: got 0, "),
            (|plan| plan.goal = Goal::For(Duration::ZERO), "duration: got 0ns, "),
            (|plan| plan.goal = Goal::For(Duration::from_secs(86_400)), "duration: got 86400s, "),
        ] {
            let told = told(change);
            assert!(told.starts_with(told_of), "{told}");
        }
    }
}
