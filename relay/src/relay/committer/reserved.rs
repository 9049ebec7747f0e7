//! Deliveries on their way into the store, by recipient, so that a backlog limit holds while they wait.

use std::collections::HashMap;

use parking_lot::Mutex;
use slipstream_store::PeerId;

/// How many deliveries are reserved for each peer; no more peers than the messages of two batches have recipients.
#[derive(Debug, Default)]
pub(in crate::relay) struct Reserved(Mutex<HashMap<PeerId, u64>>);

impl Reserved {
    /// How many are reserved for this peer.
    pub(super) fn of(&self, peer: &PeerId) -> u64 {
        self.0.lock().get(peer).copied().unwrap_or(0)
    }

    /// Reserves one for each of these peers, until it is [released](Self::release).
    pub(super) fn reserve(&self, recipients: &[PeerId]) {
        let mut reserved = self.0.lock();
        for peer in recipients {
            *reserved.entry(peer.clone()).or_default() += 1;
        }
    }

    /// What was reserved is in the store now, or was refused.
    pub(super) fn release(&self, recipients: &[PeerId]) {
        let mut reserved = self.0.lock();
        for peer in recipients {
            if let Some(count) = reserved.get_mut(peer) {
                *count -= 1;
                if *count == 0 {
                    reserved.remove(peer);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_released_leaves_nothing_behind() {
        let peers = ["a", "b"].map(|id| PeerId::new(id).unwrap());
        let reserved = Reserved::default();
        reserved.reserve(&peers);
        reserved.reserve(&peers[..1]);
        assert_eq!([reserved.of(&peers[0]), reserved.of(&peers[1])], [2, 1]);
        reserved.release(&peers);
        assert_eq!([reserved.of(&peers[0]), reserved.of(&peers[1])], [1, 0]);
        reserved.release(&peers);
        assert!(reserved.0.lock().is_empty());
    }
}
