//! What a horizon lets go.

use std::num::NonZeroU32;

use slipstream_store::{DeliveryState, Horizon, Identity, PeerId, Purged, Sequence, Stamp, Timestamp};

use super::state::State;

/// One thing that is to go.
enum Leaving {
    Delivery(PeerId, Sequence),
    Identity(Identity),
    Stamp(Timestamp, Stamp),
    Trace(Timestamp, Sequence),
}

impl State {
    pub(super) fn purge(&mut self, horizon: &Horizon, budget: NonZeroU32) -> Purged {
        let mut purged = Purged::default();
        while let Some(leaving) = self.next_to_leave(horizon) {
            if purged.removed == u64::from(budget.get()) {
                purged.more = true;
                break;
            }
            purged.removed += 1;
            match leaving {
                Leaving::Delivery(peer, sequence) => {
                    self.settle(&peer, sequence, DeliveryState::Expired, horizon.now);
                    purged.expired.push((peer, sequence));
                }
                Leaving::Identity(identity) => {
                    self.recorded.pop_front();
                    self.identities.remove(&identity);
                }
                Leaving::Stamp(time, stamp) => {
                    self.stamps_by_age.remove(&(time, stamp));
                    self.stamps.remove(&stamp);
                }
                Leaving::Trace(time, origin) => self.forget_trace(time, origin),
            }
        }
        purged
    }

    /// What goes next. A message that nobody is owed any more has gone already, when it was settled.
    fn next_to_leave(&self, horizon: &Horizon) -> Option<Leaving> {
        if let Some((_, sequence, peer)) = self.expiring.first().filter(|(expiry, ..)| *expiry <= horizon.expiries) {
            return Some(Leaving::Delivery(peer.clone(), *sequence));
        }
        let too_many = self.recorded.len() as u64 > horizon.max_identities;
        if let Some((_, identity)) = self.recorded.front().filter(|(time, _)| too_many || *time < horizon.identities) {
            return Some(Leaving::Identity(identity.clone()));
        }
        if let Some(&(time, stamp)) = self.stamps_by_age.first().filter(|(time, _)| *time < horizon.stamps) {
            return Some(Leaving::Stamp(time, stamp));
        }
        let trace = self.finished.first().filter(|(time, _)| *time < horizon.traces);
        trace.map(|&(time, origin)| Leaving::Trace(time, origin))
    }

    fn forget_trace(&mut self, time: Timestamp, origin: Sequence) {
        self.finished.remove(&(time, origin));
        let Some(trace) = self.traces.remove(&origin) else { return };
        let identity = &trace.record.identity;
        self.imported.remove(&(identity.clone(), origin));
        if self.newest_trace.get(identity) == Some(&origin) {
            self.newest_trace.remove(identity);
        }
    }
}
