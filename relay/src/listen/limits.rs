//! What a listener keeps to.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::proxy::TrustedProxies;
use super::source::FailureLimits;

/// What a listener keeps to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenLimits {
    /// Most connections, counted from when they are accepted. One more is told 503, unless it takes over a link.
    pub max_connections: usize,
    /// Most connections over that limit at a time: until they have said who they are and were told 503, or until the link
    /// that they take over has ended. One more is dropped.
    pub max_beyond: usize,
    /// Most connections from one address, or from one IPv6 network of 64 bits, if there is a limit. One more is told 429,
    /// unless it takes over a link from there. Trusted proxies themselves have no such limit: their clients have it.
    pub max_per_address: Option<NonZeroUsize>,
    /// Most connections over that limit at a time, likewise.
    pub max_beyond_per_address: usize,
    /// How long a peer may take from connecting until its link is granted, the handshake of the transport included.
    pub handshake_timeout: Duration,
    /// The proxies whose `X-Forwarded-For` names the client. For their PROXY header see
    /// [`ProxyListener`](super::ProxyListener).
    pub trusted_proxies: TrustedProxies,
    /// How credentials that fail are slowed down.
    pub failures: FailureLimits,
}

impl Default for ListenLimits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_beyond: 256,
            max_per_address: NonZeroUsize::new(1_000),
            max_beyond_per_address: 16,
            handshake_timeout: Duration::from_secs(10),
            trusted_proxies: TrustedProxies::default(),
            failures: FailureLimits::default(),
        }
    }
}
