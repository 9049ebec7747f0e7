//! Numbers the messages that this relay takes from applications, so that no two relays ever pass each other the
//! same one twice. The epoch is new at each start and with each hour; the count begins at 0 in it.
//!
//! So a message's epoch says at which hour it came into the mesh, to every relay alike: that is what two relays are
//! compared by.

use std::sync::Arc;

use parking_lot::Mutex;
use slipstream_store::{PeerKind, Stamp};
use ulid::Ulid;

use crate::clock::Clock;
use crate::protocol::Sender;

/// How long an epoch lasts, in milliseconds: from the full hour to the next, by the time of day.
const HOUR: u64 = 3_600_000;

/// The numbering of one run of the relay.
#[derive(Debug)]
pub(super) struct Stamps {
    clock: Arc<dyn Clock>,
    epoch: Mutex<Epoch>,
}

#[derive(Debug)]
struct Epoch {
    id: Ulid,
    hour: u64,
    next: u64,
}

impl Epoch {
    fn new(clock: &dyn Clock, hour: u64) -> Self {
        Self { id: clock.ulid(), hour, next: 0 }
    }
}

impl Stamps {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let epoch = Mutex::new(Epoch::new(&*clock, hour(&*clock)));
        Self { clock, epoch }
    }

    /// The stamp with which a message goes out: a new one for a message from an application, the one it came with
    /// from a relay.
    pub(super) fn on_the_way_out(&self, sender: &Sender, came_with: Option<Stamp>) -> Option<Stamp> {
        match sender.kind {
            PeerKind::Application => Some(self.next()),
            PeerKind::Relay => came_with,
        }
    }

    fn next(&self) -> Stamp {
        let mut epoch = self.epoch.lock();
        let hour = hour(&*self.clock);
        if hour != epoch.hour {
            *epoch = Epoch::new(&*self.clock, hour);
        }
        let number = epoch.next;
        epoch.next += 1;
        Stamp { epoch: epoch.id, number }
    }
}

fn hour(clock: &dyn Clock) -> u64 {
    clock.wall().as_millis() / HOUR
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use slipstream_store::Timestamp;

    use super::*;

    /// A clock that is set by hand.
    #[derive(Debug, Default)]
    struct Hand(AtomicU64);

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0.load(Ordering::Relaxed))
        }

        fn elapsed(&self) -> Duration {
            Duration::ZERO
        }

        fn ulid(&self) -> Ulid {
            Ulid::from_parts(self.0.load(Ordering::Relaxed), 1)
        }

        fn random(&self) -> u64 {
            0
        }
    }

    #[test]
    fn each_hour_has_an_epoch_of_its_own() {
        let clock = Arc::new(Hand(AtomicU64::new(5 * HOUR + 7)));
        let stamps = Stamps::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let at = |millis| {
            clock.0.store(millis, Ordering::Relaxed);
            let Stamp { epoch, number } = stamps.next();
            (epoch.timestamp_ms(), number)
        };
        assert_eq!(at(5 * HOUR + 8), (5 * HOUR + 7, 0));
        assert_eq!(at(6 * HOUR - 1), (5 * HOUR + 7, 1));
        assert_eq!(at(6 * HOUR), (6 * HOUR, 0));
        assert_eq!(at(6 * HOUR + 1), (6 * HOUR, 1));
        // The machine's clock was set back.
        assert_eq!(at(4 * HOUR + 3), (4 * HOUR + 3, 0));
    }
}
