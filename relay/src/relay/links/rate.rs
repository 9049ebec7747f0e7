//! How fast a peer may send.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use slipstream_store::PeerId;

/// The rates of the peers that have sent, for as long as they are known.
#[derive(Debug)]
pub(in crate::relay) struct Rates {
    limit: Option<NonZeroU32>,
    peers: Mutex<HashMap<PeerId, Arc<Rate>>>,
}

impl Rates {
    pub(in crate::relay) fn new(limit: Option<NonZeroU32>) -> Self {
        Self { limit, peers: Mutex::default() }
    }

    /// How fast this peer may send, on whatever links; `None` if there is no limit.
    pub(in crate::relay) fn of(&self, peer: &PeerId) -> Option<Arc<Rate>> {
        let limit = self.limit?;
        Some(Arc::clone(self.peers.lock().entry(peer.clone()).or_insert_with(|| Arc::new(Rate::new(limit)))))
    }

    /// The peer is not known any more.
    pub(in crate::relay) fn forget(&self, peer: &PeerId) {
        self.peers.lock().remove(peer);
    }
}

/// A rate with bursts of up to a second's messages (the generic cell rate algorithm).
#[derive(Debug)]
pub(in crate::relay) struct Rate {
    a_second: NonZeroU32,
    /// Until when what was let through would have taken at the even rate.
    taken_until: Mutex<Duration>,
}

impl Rate {
    const BURST: Duration = Duration::from_secs(1);

    pub(in crate::relay) fn new(a_second: NonZeroU32) -> Self {
        Self { a_second, taken_until: Mutex::default() }
    }

    /// Lets a message through that comes now, or answers how many may come in a second. What is not let through does
    /// not count. `now` is on the clock's own scale.
    pub(in crate::relay) fn permits(&self, now: Duration) -> Result<(), NonZeroU32> {
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
