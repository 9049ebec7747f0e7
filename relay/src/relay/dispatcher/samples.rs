//! Messages for the tests of the lanes. The number of one is its sequence, and in its id and its text.

use std::sync::Arc;

use bytes::Bytes;
use slipstream_store::{ClusterGroup, Identity, MessageId, MessageType, Pending, Sequence, Timestamp};

use super::forward::Forward;

pub(super) fn sequence(number: u64) -> Sequence {
    Sequence::new(number).unwrap()
}

pub(super) fn identity(number: u64) -> Identity {
    Identity { group: ClusterGroup::singleton(), id: MessageId::new(format!("m{number}")).unwrap() }
}

pub(super) fn forward(number: u64) -> Arc<Forward> {
    Arc::new(Forward::from(pending(number)))
}

pub(super) fn pending(number: u64) -> Pending {
    Pending {
        sequence: sequence(number),
        identity: identity(number),
        message_type: MessageType::new("SK").unwrap(),
        key: None,
        expires_at: None,
        received_at: Timestamp::ZERO,
        attempts: 0,
        last_attempt_at: None,
        redriven: false,
        text: Bytes::from(format!("text {number}")),
    }
}
