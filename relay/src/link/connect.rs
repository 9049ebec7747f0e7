//! How a link begins from the end that dials: connects, and asks for it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::awake;
use super::handshake::{Announced, HandshakeError, Offer, offer};
use super::stream::{Connector, Socket};
use super::target::Target;
use crate::tls::TlsFault;

/// A link that was granted, before its first frame.
#[derive(Debug)]
pub struct Connected {
    /// The WebSocket.
    pub socket: Socket,
    /// What the server said of itself.
    pub announced: Announced,
    /// The address of its end.
    pub remote: SocketAddr,
}

/// Connects to a server and asks it for a link, within `limit`.
///
/// # Errors
/// [`ConnectError`], but never [`ConnectError::Url`].
///
/// # Cancellation
/// Dropping the future drops the stream.
pub async fn connect(
    connector: &dyn Connector,
    target: &Target,
    asked: &Offer,
    limit: Duration,
) -> Result<Connected, ConnectError> {
    let Target { host, port, authority, path, .. } = target;
    let is_connected = AtomicBool::new(false);
    let connecting = async {
        let connected = connector.connect(target).await;
        let (stream, remote) =
            connected.map_err(|error| ConnectError::Unreachable { host: host.clone(), port: *port, error })?;
        is_connected.store(true, Ordering::Relaxed);
        let (socket, announced) = offer(stream, authority, path, asked).await.map_err(|error| match error {
            HandshakeError::HungUp { .. } => HandshakeError::HungUp { doubted: shows_a_certificate(target) },
            error => error,
        })?;
        Ok(Connected { socket, announced, remote })
    };
    awake::timeout(limit, connecting).await.unwrap_or_else(|| match is_connected.into_inner() {
        true => Err(ConnectError::Unanswered(limit)),
        false => Err(ConnectError::TimedOut(limit)),
    })
}

fn shows_a_certificate(target: &Target) -> bool {
    target.tls().is_some_and(|tls| tls.options().own.is_some())
}

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL is not one of a WebSocket that this client can reach.
    #[error("{url:?}: {expected}")]
    Url {
        /// The URL, as it was given.
        url: String,
        /// What was expected.
        expected: &'static str,
    },
    /// Nobody answers there, or not over TLS.
    #[error("{host}:{port}: {error}")]
    Unreachable {
        /// The host of the URL.
        host: String,
        /// Its port.
        port: u16,
        /// Why.
        error: std::io::Error,
    },
    /// The server granted no link.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// To connect took longer than the options allow.
    #[error("no connection within {0:?}")]
    TimedOut(Duration),
    /// The server took the connection and did not answer in the time that the options allow.
    #[error("the server took the connection and has not answered the upgrade request: no link within {0:?}")]
    Unanswered(Duration),
}

impl ConnectError {
    /// Whether the two ends did not come together over TLS.
    pub(crate) fn is_of_tls(&self) -> bool {
        match self {
            Self::Unreachable { error, .. } => TlsFault::of(error).is_some(),
            Self::Handshake(error) => error.is_of_tls(),
            _ => false,
        }
    }
}
