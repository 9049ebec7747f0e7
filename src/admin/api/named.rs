//! Which dead letters a request names.

use slipstream_store::{DeadLetterCursor, DeadLetterFilter, PeerId, Sequence};

use crate::admin::error::ApiError;
use crate::admin::request::name;

/// Those that fit every field that is given.
pub(super) fn filter(
    peer: Option<&str>,
    reason: Option<&str>,
    message_id: Option<&str>,
) -> Result<DeadLetterFilter, ApiError> {
    Ok(DeadLetterFilter {
        peer: peer.map(name).transpose()?,
        reason: reason.map(Into::into),
        message_id: message_id.map(name).transpose()?,
    })
}

/// Reads the sequence of one.
pub(super) fn sequence(number: u64) -> Result<Sequence, ApiError> {
    Sequence::new(number).ok_or_else(|| ApiError::invalid("sequence: expected 1 to 2^63 - 1"))
}

/// Where the list of a peer's dead letters is read from, so that the one with this sequence comes first.
pub(super) fn just_before(peer: &PeerId, sequence: Sequence) -> Option<DeadLetterCursor> {
    let sequence = Sequence::new(sequence.get() - 1)?;
    Some(DeadLetterCursor { sequence, peer: peer.clone() })
}
