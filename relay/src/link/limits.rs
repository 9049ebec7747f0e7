//! The limits of a running link.

use std::time::Duration;

use slipstream_store::PeerKind;

/// What a running link keeps to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkLimits {
    /// Longest message that is taken, in bytes. A longer one closes the link with 1009.
    pub max_message_bytes: usize,
    /// Most fragments that one message may come in. More close the link with 1009.
    pub max_fragments: usize,
    /// How long nothing may come, or nothing be sent, before the peer is pinged, and pinged again.
    pub heartbeat: Duration,
    /// How long there may be no sign of life before the link is dropped; also how long the peer may take nothing while
    /// there is something to write.
    pub idle_timeout: Duration,
    /// How long a link may take to end once either side has asked for it.
    pub close_timeout: Duration,
    /// How many bytes of frames are gathered before they are written. One message may go beyond it.
    pub write_batch_bytes: usize,
}

/// How much longer a message may be on a link between relays, because its path grows on the way.
const PATH_ROOM: usize = 64 << 10;

/// What several client libraries take at most: 1 MiB. No text outgrows it on its way with the default limit.
const COMMON_LIMIT: usize = 1 << 20;

impl LinkLimits {
    /// The limits of a link with a peer of this kind.
    #[must_use]
    pub fn with(self, kind: PeerKind) -> Self {
        match kind {
            PeerKind::Application => self,
            PeerKind::Relay => Self { max_message_bytes: self.max_message_bytes.saturating_add(PATH_ROOM), ..self },
        }
    }
}

impl Default for LinkLimits {
    fn default() -> Self {
        Self {
            max_message_bytes: COMMON_LIMIT - PATH_ROOM,
            max_fragments: 16_384,
            heartbeat: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(45),
            close_timeout: Duration::from_secs(5),
            write_batch_bytes: 64 << 10,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relays_may_send_each_other_64_kib_more() {
        let limits = LinkLimits::default();
        assert_eq!(limits.clone().with(PeerKind::Application), limits);
        assert_eq!((limits.max_message_bytes, limits.max_fragments), (983_040, 16_384));
        assert_eq!(limits.with(PeerKind::Relay).max_message_bytes, 1 << 20);
    }
}
