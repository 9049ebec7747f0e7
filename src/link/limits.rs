//! The limits of a running link.

use std::time::Duration;

/// What a running link keeps to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkLimits {
    /// Longest message that is taken, in bytes. A longer one closes the link with 1009.
    pub max_message_bytes: usize,
    /// Most fragments that one message may come in. More close the link with 1009.
    pub max_fragments: usize,
    /// How long nothing may come before the peer is pinged, and pinged again.
    pub heartbeat: Duration,
    /// How long nothing may come before the link is dropped.
    pub idle_timeout: Duration,
    /// How long a link may take to end once either side has asked for it.
    pub close_timeout: Duration,
    /// How many bytes of frames are gathered before they are written. One message may go beyond it.
    pub write_batch_bytes: usize,
}

impl Default for LinkLimits {
    fn default() -> Self {
        Self {
            max_message_bytes: 1 << 20,
            max_fragments: 4_096,
            heartbeat: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(45),
            close_timeout: Duration::from_secs(5),
            write_batch_bytes: 64 << 10,
        }
    }
}
