//! Deliveries that were given up: as they come out of a store, and which are meant.

use bytes::Bytes;

use crate::ids::{Identity, Key, MessageId, MessageType, PeerId};
use crate::values::{Sequence, Timestamp};

/// A delivery that was given up, with the whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its sequence.
    pub sequence: Sequence,
    /// Whose delivery it was.
    pub peer: PeerId,
    /// The message's identity.
    pub identity: Identity,
    /// The message's type.
    pub message_type: MessageType,
    /// The message's key.
    pub key: Option<Key>,
    /// Why it was given up.
    pub reason: String,
    /// How many attempts were made.
    pub attempts: u32,
    /// When it was given up.
    pub dead_at: Timestamp,
    /// The outgoing text, as it was recorded.
    pub text: Bytes,
}

/// A place in the order of dead letters: by sequence, then by peer id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeadLetterCursor {
    /// The sequence.
    pub sequence: Sequence,
    /// The peer.
    pub peer: PeerId,
}

/// Which dead letters are meant: those that fit every field that is set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeadLetterFilter {
    /// Those of this peer.
    pub peer: Option<PeerId>,
    /// Those with this reason, either the whole of it or the part before its first `:`.
    pub reason: Option<String>,
    /// Those of messages with this id, in whatever cluster group.
    pub message_id: Option<MessageId>,
}

impl DeadLetterFilter {
    /// Whether the filter means this dead letter.
    #[must_use]
    pub fn matches(&self, peer: &PeerId, reason: &str, message_id: &MessageId) -> bool {
        self.peer.as_ref().is_none_or(|wanted| wanted == peer)
            && self.message_id.as_ref().is_none_or(|wanted| wanted == message_id)
            && self
                .reason
                .as_ref()
                .is_none_or(|wanted| wanted == reason || reason.split_once(':').is_some_and(|(head, _)| head == wanted))
    }
}
