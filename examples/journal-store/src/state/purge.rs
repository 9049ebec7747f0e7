//! What a horizon lets go.

use std::num::NonZeroU32;
use std::time::Duration;

use slipstream_store::{DeliveryState, Horizon, Identity, PeerId, Purged, Sequence, Timestamp};

use super::{StampBlock, State};

/// One thing that is to go. (A message's text went already, when its last delivery was settled.)
enum Leaving {
    Delivery(PeerId, Sequence),
    Identity(Identity),
    Stamps(StampBlock),
    Trace(Timestamp, Sequence),
}

impl State {
    /// Whether a purge would remove anything.
    pub(crate) fn has_something_behind(&self, horizon: &Horizon) -> bool {
        self.next_to_leave(horizon).is_some()
    }

    pub(crate) fn purge(&mut self, horizon: &Horizon, budget: NonZeroU32) -> Purged {
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
                Leaving::Stamps(block) => drop(self.stamps.remove(block)),
                Leaving::Trace(finished_at, origin) => {
                    self.imported.remove(&origin);
                    if let Some(message) = self.messages.remove(&origin) {
                        if finished_at >= horizon.traces {
                            let after = message.record.received_at.plus(Duration::from_millis(1));
                            self.whole_since = self.whole_since.max(after);
                        }
                        self.index.remove_message(finished_at, origin, &message);
                    }
                }
            }
        }
        purged
    }

    fn next_to_leave(&self, horizon: &Horizon) -> Option<Leaving> {
        let expired = self.index.first_to_expire().filter(|(expiry, ..)| *expiry <= horizon.expiries);
        if let Some((_, sequence, peer)) = expired {
            return Some(Leaving::Delivery(peer.clone(), *sequence));
        }
        let too_many = self.recorded.len() as u64 > horizon.max_identities;
        let identity = self.recorded.front().filter(|(received_at, _)| too_many || *received_at < horizon.identities);
        if let Some((_, identity)) = identity {
            return Some(Leaving::Identity(identity.clone()));
        }
        let stamps = self.stamps.oldest().filter(|(latest, _)| *latest < horizon.stamps);
        if let Some((_, block)) = stamps {
            return Some(Leaving::Stamps(block));
        }
        let too_large = self.index.trace_bytes() > horizon.max_trace_bytes;
        let trace = self.index.first_finished().filter(|(settled_at, _)| too_large || *settled_at < horizon.traces);
        trace.map(|(finished_at, origin)| Leaving::Trace(finished_at, origin))
    }
}
