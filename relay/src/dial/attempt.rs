//! One dial: from a name to a WebSocket, or why not.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use slipstream_store::{PeerId, StoreError, Timestamp};

use crate::link::{self, Announced, Connector, HandshakeError, Offer, Socket, Target, awake};

/// Most that a server's `Retry-After` is followed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// Why a dial failed. It is tried again after a pause, whatever the reason.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    /// The name cannot be resolved, or nobody answers.
    #[error("cannot connect: {0}")]
    Unreachable(io::Error),
    /// Connecting or the handshake took too long.
    #[error("no link within {0:?}")]
    TimedOut(Duration),
    /// The server granted no link.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The server announces the id of this relay.
    #[error("the server's id is {0}, which is this relay's own: it dials itself, or two relays have one id")]
    OwnId(PeerId),
    /// The server has no id of its own, and the one that it has here is somebody else's.
    #[error(
        "the server announces no id any more, and its alias, {0}, is the id of an application that links by itself"
    )]
    AliasTaken(PeerId),
    /// The store does not take the peer at the moment.
    #[error("the peer could not be remembered: {0}")]
    Store(#[from] StoreError),
}

impl DialError {
    /// What went wrong, as a label of few values for a metric.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "dial_unreachable",
            Self::TimedOut(_) => "dial_timeout",
            Self::Handshake(HandshakeError::Refused { .. }) => "dial_refused",
            Self::Handshake(_) => "dial_handshake",
            Self::OwnId(_) => "dial_own_id",
            Self::AliasTaken(_) => "dial_alias_taken",
            Self::Store(_) => "dial_store",
        }
    }

    /// How long the server asks to be left alone from `now` on, within bounds.
    pub(super) fn retry_after(&self, now: Timestamp) -> Duration {
        match self {
            Self::Handshake(HandshakeError::Refused { retry_after: Some(asked), .. }) => {
                asked.pause(now).min(MAX_RETRY_AFTER)
            }
            _ => Duration::ZERO,
        }
    }
}

/// Connects and asks for a link. Returns the link, who is there, and at which address.
pub(super) async fn attempt(
    connector: &dyn Connector,
    target: &Target,
    offer: &Offer,
    limit: Duration,
) -> Result<(Socket, Announced, SocketAddr), DialError> {
    let dialling = async {
        let (stream, remote) = connector.connect(&target.host, target.port).await.map_err(DialError::Unreachable)?;
        match link::offer(stream, &target.authority, &target.path, offer).await {
            Ok((socket, announced)) => Ok((socket, announced, remote)),
            // A relay does not let in another one with its own id, and says which that is.
            Err(HandshakeError::Refused { server: Some(id), .. }) if offer.id.as_ref() == Some(&id) => {
                Err(DialError::OwnId(id))
            }
            Err(error) => Err(error.into()),
        }
    };
    awake::timeout(limit, dialling).await.unwrap_or(Err(DialError::TimedOut(limit)))
}
