//! One dial: from a name to a WebSocket, or why not.

use std::time::Duration;

use slipstream_store::{PeerId, StoreError, Timestamp};

use crate::link::{self, ConnectError, Connected, Connector, HandshakeError, Offer, Target};

/// Most that a server's `Retry-After` is followed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// Why a dial failed. It is tried again after a pause, whatever the reason.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    /// There is no link.
    #[error(transparent)]
    Connect(#[from] ConnectError),
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
            Self::Connect(error) if error.is_of_tls() => "dial_tls",
            Self::Connect(ConnectError::Url { .. } | ConnectError::Unreachable { .. }) => "dial_unreachable",
            Self::Connect(ConnectError::TimedOut(_) | ConnectError::Unanswered(_)) => "dial_timeout",
            Self::Connect(ConnectError::Handshake(HandshakeError::Refused { .. })) => "dial_refused",
            Self::Connect(ConnectError::Handshake(_)) => "dial_handshake",
            Self::OwnId(_) => "dial_own_id",
            Self::AliasTaken(_) => "dial_alias_taken",
            Self::Store(_) => "dial_store",
        }
    }

    /// What tells it from another failure for whoever reads the log: the words, unless they are a server's or a store's,
    /// which may be others each time.
    pub(super) fn kind(&self) -> String {
        match self {
            Self::Connect(ConnectError::Handshake(HandshakeError::Refused { status, .. })) => status.to_string(),
            Self::Store(_) => self.reason().to_owned(),
            Self::Connect(_) | Self::OwnId(_) | Self::AliasTaken(_) => self.to_string(),
        }
    }

    /// How long the server asks to be left alone from `now` on, within bounds.
    pub(super) fn retry_after(&self, now: Timestamp) -> Duration {
        match self {
            Self::Connect(ConnectError::Handshake(HandshakeError::Refused { retry_after: Some(asked), .. })) => {
                asked.pause(now).min(MAX_RETRY_AFTER)
            }
            _ => Duration::ZERO,
        }
    }
}

/// Connects and asks for a link.
pub(super) async fn attempt(
    connector: &dyn Connector,
    target: &Target,
    offer: &Offer,
    limit: Duration,
) -> Result<Connected, DialError> {
    link::connect(connector, target, offer, limit).await.map_err(|error| match error {
        // A relay does not let in another one with its own id, and says which that is.
        ConnectError::Handshake(HandshakeError::Refused { server: Some(id), .. }) if offer.id.as_ref() == Some(&id) => {
            DialError::OwnId(id)
        }
        error => error.into(),
    })
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;

    use super::*;

    #[test]
    fn a_refusal_is_the_same_whatever_the_server_says_with_it() {
        let refused = |status, reason: &str| {
            let reason = reason.to_owned();
            let refused = HandshakeError::Refused { status, reason, retry_after: None, server: None };
            DialError::from(ConnectError::from(refused)).kind()
        };
        let busy = refused(StatusCode::SERVICE_UNAVAILABLE, "request 1 was not served");
        assert_eq!(busy, refused(StatusCode::SERVICE_UNAVAILABLE, "request 2 was not served"));
        assert_ne!(busy, refused(StatusCode::FORBIDDEN, "request 1 was not served"));
    }
}
