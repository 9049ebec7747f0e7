//! `messagePath`: the instances that a message has been at, by which relays keep it from going in circles.

use slipstream_store::{PeerId, PeerKind};

use super::fields::{Fault, Field, Fields, read};

/// Most hops on the path of a message that comes from a peer of this kind.
///
/// The first relay adds the application and itself, so that what it takes is what the next relay takes. Each further relay
/// adds only itself. One that has taken a path of 64 hops delivers the message to its applications; a relay beyond it
/// refuses, which makes a dead letter there.
#[must_use]
pub const fn max_path(kind: PeerKind) -> usize {
    match kind {
        PeerKind::Application => 62,
        PeerKind::Relay => 64,
    }
}

/// Most hops on the path of a message that goes out: the sender and this relay come after what was taken.
pub(super) const MAX_OUTGOING_PATH: usize = max_path(PeerKind::Relay) + 2;

pub(super) fn read(fields: &Fields<'_>, max: usize) -> Result<Vec<PeerId>, Fault> {
    read::names(fields, Field::MessagePath, max)
}

pub(super) fn outgoing(came: &[PeerId], sender: &PeerId, relay: &PeerId) -> Box<[PeerId]> {
    let sender = (came.last() != Some(sender)).then_some(sender);
    came.iter().chain(sender).chain([relay]).cloned().collect()
}
