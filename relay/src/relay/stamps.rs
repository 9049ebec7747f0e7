//! Numbers the messages that this relay takes from applications, so that no two relays ever pass each other the
//! same one twice. The epoch is new at each start; the count begins at 0.

use std::sync::atomic::{AtomicU64, Ordering};

use slipstream_store::{PeerKind, Stamp};
use ulid::Ulid;

use crate::protocol::Sender;

/// The numbering of one run of the relay.
#[derive(Debug)]
pub(super) struct Stamps {
    epoch: Ulid,
    next: AtomicU64,
}

impl Stamps {
    pub(super) fn new(epoch: Ulid) -> Self {
        Self { epoch, next: AtomicU64::new(0) }
    }

    /// The stamp with which a message goes out: a new one for a message from an application, the one it came with
    /// from a relay.
    pub(super) fn on_the_way_out(&self, sender: &Sender, came_with: Option<Stamp>) -> Option<Stamp> {
        match sender.kind {
            PeerKind::Application => {
                Some(Stamp { epoch: self.epoch, number: self.next.fetch_add(1, Ordering::Relaxed) })
            }
            PeerKind::Relay => came_with,
        }
    }
}
