//! Where connections come from, and what their transport knows of the peer.

use std::fmt;
use std::future::{Future, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::net::TcpSocket;

use crate::descriptors::{self, KEPT_FROM_LINKS};
use crate::link::Stream;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 1024;

/// Where connections come from.
#[async_trait]
pub trait Listener: Send + Sync {
    /// The next connection, as soon as it is there. What the transport has to settle with the peer first, such as TLS,
    /// belongs in [`Accepted::after`]: while this waits, nobody else gets in.
    ///
    /// # Errors
    /// If a connection could not be accepted. The caller tries again after a pause.
    ///
    /// # Cancellation
    /// No connection is lost.
    async fn accept(&self) -> io::Result<Accepted>;

    /// Where it listens.
    ///
    /// # Errors
    /// If the system does not say.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// What the transport knows of the peer at the other end of a connection. It is proven, as far as the transport goes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectInfo {
    /// Where the peer connects from, which is what logs name. Behind a trusted proxy it is what the proxy says, with port 0
    /// if it names none.
    pub remote: SocketAddr,
    /// Where the connection itself comes from: from the peer, or from the proxy next to this relay.
    pub socket: SocketAddr,
    /// The certificates with which the peer has proven who it is, in DER, its own first. Empty if it showed none.
    pub certificates: Arc<[Bytes]>,
}

impl ConnectInfo {
    /// A peer of which only the address is known.
    #[must_use]
    pub fn new(remote: SocketAddr) -> Self {
        Self { remote, socket: remote, certificates: Arc::default() }
    }

    /// The same connection, which a trusted proxy has made for this client.
    #[must_use]
    pub fn with_client(self, client: SocketAddr) -> Self {
        Self { remote: client, ..self }
    }

    /// The same peer, which has proven that these certificates are its own.
    #[must_use]
    pub fn with_certificates(self, certificates: impl Into<Arc<[Bytes]>>) -> Self {
        Self { certificates: certificates.into(), ..self }
    }
}

/// Why a connection got no further than its transport, if that counts under a reason of its own and an operator should
/// hear of it. An [`io::Error`] carries it.
#[derive(Debug, thiserror::Error)]
#[error("{told}")]
pub struct HandshakeFault {
    reason: &'static str,
    told: String,
    client: Option<SocketAddr>,
}

impl HandshakeFault {
    /// A fault that counts as `reason` in `slipstream_connection_errors_total`.
    #[must_use]
    pub fn new(reason: &'static str, told: impl Into<String>) -> Self {
        Self { reason, told: told.into(), client: None }
    }

    /// The same, of a client that is known to have this address. Without one it is where the connection comes from.
    #[must_use]
    pub fn of(self, client: SocketAddr) -> Self {
        Self { client: Some(client), ..self }
    }

    /// What the error of a handshake carries, if it has a reason of its own.
    pub(super) fn carried_by(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// What it counts as.
    pub(super) fn reason(&self) -> &'static str {
        self.reason
    }

    /// The address of the client, if it is known.
    pub(super) fn client(&self) -> Option<SocketAddr> {
        self.client
    }
}

impl From<HandshakeFault> for io::Error {
    fn from(fault: HandshakeFault) -> Self {
        Self::new(io::ErrorKind::InvalidData, fault)
    }
}

type Handshake = Pin<Box<dyn Future<Output = io::Result<(Box<dyn Stream>, ConnectInfo)>> + Send>>;

/// A connection that was accepted, and on which the transport has settled nothing with the peer yet.
pub struct Accepted {
    remote: SocketAddr,
    handshake: Handshake,
}

impl Accepted {
    /// A connection whose transport has nothing to settle.
    #[must_use]
    pub fn plain(stream: Box<dyn Stream>, remote: SocketAddr) -> Self {
        Self::after(remote, ready(Ok((stream, ConnectInfo::new(remote)))))
    }

    /// A connection that can be used once its transport has settled this with the peer.
    ///
    /// It is awaited in the connection's own task and within the time of the handshake. If it fails or panics, this
    /// connection ends and nothing else.
    #[must_use]
    pub fn after(
        remote: SocketAddr,
        handshake: impl Future<Output = io::Result<(Box<dyn Stream>, ConnectInfo)>> + Send + 'static,
    ) -> Self {
        Self { remote, handshake: Box::pin(handshake) }
    }

    /// Where the connection itself comes from.
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// Has the transport settle what it has to settle. There is no timeout here.
    ///
    /// # Errors
    /// The transport and the peer do not come together, or the peer went away.
    ///
    /// # Cancellation
    /// Dropping the future drops the connection.
    pub async fn handshake(self) -> io::Result<(Box<dyn Stream>, ConnectInfo)> {
        self.handshake.await
    }
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepted").field("remote", &self.remote).finish_non_exhaustive()
    }
}

/// Listens on a TCP port.
#[derive(Debug)]
pub struct TcpListener(tokio::net::TcpListener);

impl TcpListener {
    /// Listens on this address; port 0 is any free one. Called within a tokio runtime.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A restart must not wait for the old connections to time out.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG).map(Self)
    }
}

#[async_trait]
impl Listener for TcpListener {
    async fn accept(&self) -> io::Result<Accepted> {
        let (stream, remote) = self.0.accept().await?;
        if descriptors::is_kept_back(&stream, KEPT_FROM_LINKS) {
            return Err(io::Error::other(
                "every file that this process may open is in use (ulimit -n); the rest is kept back",
            ));
        }
        // Writes are gathered already; Nagle's algorithm would only hold them back.
        stream.set_nodelay(true)?;
        Ok(Accepted::plain(Box::new(stream), remote))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}
