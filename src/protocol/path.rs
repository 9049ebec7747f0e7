//! `messagePath`: the instances that a message has been at, by which relays keep it from going in circles.

use slipstream_store::PeerId;

use super::fields::{Field, Fields};
use super::read::{self, Fault};

/// Most hops on the path of a message that comes in. Two may join at each relay, so no path has more than 64.
pub const MAX_PATH: usize = 62;

pub(super) fn read(fields: &Fields<'_>) -> Result<Vec<PeerId>, Fault> {
    read::names(fields, Field::MessagePath, MAX_PATH)
}

pub(super) fn outgoing(came: &[PeerId], sender: &PeerId, relay: &PeerId) -> Box<[PeerId]> {
    let sender = (came.last() != Some(sender)).then_some(sender);
    came.iter().chain(sender).chain([relay]).cloned().collect()
}
