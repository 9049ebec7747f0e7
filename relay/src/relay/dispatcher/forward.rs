//! A committed message on its way to its recipients, and what is kept of it while it is in flight.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use slipstream_store::{Identity, Key, PeerId, Pending, Sequence, Timestamp};

use crate::protocol::{self, TraceContext};
use crate::relay::spans;

/// A committed message on its way to its recipients, shared by all of them.
#[derive(Debug)]
pub(crate) struct Forward {
    /// Its place in commit order.
    pub(crate) sequence: Sequence,
    /// What is kept of it while it is in flight.
    pub(crate) metadata: Arc<Metadata>,
    /// `targetedInstances`: the only applications that it is for; empty means no such limit.
    pub(crate) instances: Box<[PeerId]>,
    /// When it loses its point.
    pub(crate) expires_at: Option<Timestamp>,
    /// The outgoing text.
    pub(crate) text: Bytes,
}

/// What is kept of a message for as long as it is in flight, once for all of its recipients: all but the text, which
/// can be read from the store again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// What the peer's ACK will name.
    pub(crate) identity: Identity,
    /// The key whose value it sets, if it sets one and is as old as its sequence says.
    pub(crate) sets: Option<Key>,
    /// When it was read from its sender, on the clock's own scale, if this process read it.
    pub(crate) read_at: Option<Duration>,
    /// The trace that it belongs to, if spans are made of that.
    pub(crate) trace: Option<Box<TraceContext>>,
}

impl From<Pending> for Forward {
    fn from(pending: Pending) -> Self {
        let Pending { sequence, identity, message_type, key, expires_at, redriven, text, .. } = pending;
        // What was redriven is older than its sequence says: it is no newer value of its key than any other.
        let sets = key.filter(|_| !redriven && protocol::sets_a_key(&message_type));
        let instances = protocol::targeted_instances(&text);
        let trace = spans::kept(|| protocol::trace_context(&text));
        let metadata = Arc::new(Metadata { identity, sets, read_at: None, trace });
        Self { sequence, metadata, instances, expires_at, text }
    }
}
