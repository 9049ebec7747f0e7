//! How links begin that this relay dials: connects, asks for the link, seats the peer, and does so again when the link
//! has ended.
//!
//! Nothing here decides who a peer is or what follows: that is the `Contact`'s.
//!
//! | file | subject |
//! | --- | --- |
//! | `backoff` | how long it waits between dials. Pure |
//! | `attempt` | one dial, and why it fails |
//! | `dialler` | the life of one dialled peer |
//! | `tls` | reaching out over TLS |

use std::sync::Arc;
use std::time::Duration;

use slipstream_store::{ClusterGroup, PeerId, Tag};

use crate::link::{Secret, Target};

mod attempt;
mod backoff;
mod dialler;
#[cfg(test)]
mod tests;
mod tls;

pub(crate) use attempt::DialError;
pub use backoff::Backoff;
pub use dialler::DialStatus;
pub(crate) use dialler::{Contact, Dialler};
pub use tls::TlsConnector;

/// A peer that this relay dials: a relay, or an ordinary WebSocket server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialledPeer {
    /// Where it is.
    pub target: Target,
    /// The id that it has until it announces another, and its name in logs.
    pub alias: PeerId,
    /// Its tags. Without any it has those that it announces.
    pub tags: Option<Arc<[Tag]>>,
    /// Its cluster group. Without one it has the one that it announces.
    pub group: Option<ClusterGroup>,
    /// Whether it gets, after being away, only the newest value of each key.
    pub coalesce: bool,
    /// The credential that it is shown.
    pub token: Option<Secret>,
}

/// What dialling keeps to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialLimits {
    /// How long connecting may take, with the handshake.
    pub timeout: Duration,
    /// The first pause before a redial. It doubles, with full jitter, up to [`longest_pause`](Self::longest_pause).
    pub first_pause: Duration,
    /// The longest pause before a redial.
    pub longest_pause: Duration,
    /// Failed dials in a row after which the circuit opens.
    pub attempts: u32,
    /// The pause between dials while the circuit is open.
    pub open_pause: Duration,
}

impl Default for DialLimits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            first_pause: Duration::from_secs(5),
            longest_pause: Duration::from_secs(60),
            attempts: 10,
            open_pause: Duration::from_secs(60),
        }
    }
}
