//! The byte streams that links run over, and who makes them. A simulation or TLS brings its own.

use std::fmt;
use std::net::SocketAddr;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::{self, AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;

use super::shown::Shown;
use super::target::{Target, Transport};

/// The reading half of a [`Stream`].
pub type ReadHalf = Box<dyn AsyncRead + Send + Unpin>;
/// The writing half of a [`Stream`].
pub type WriteHalf = Box<dyn SendHalf>;

/// What a [`WriteHalf`] is made of.
pub trait SendHalf: AsyncWrite + Send + Unpin {
    /// How many of the bytes that were written the far end has not taken yet; `None` if that cannot be known.
    ///
    /// It tells a slow link from a dead one while what was written stands in buffers of this machine.
    fn untaken(&self) -> Option<u64> {
        None
    }
}

impl SendHalf for OwnedWriteHalf {
    fn untaken(&self) -> Option<u64> {
        slipstream_socket::unacknowledged(self.as_ref()).ok()
    }
}

impl<S: AsyncWrite + Send> SendHalf for io::WriteHalf<S> {}

/// A connected stream of bytes.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// The two halves. The default shares the stream behind a lock; a stream that can do without overrides it.
    fn halves(self: Box<Self>) -> (ReadHalf, WriteHalf) {
        let (read, write) = io::split(self);
        (Box::new(read), Box::new(write))
    }

    /// As [`SendHalf::untaken`], of the whole stream: for what is put on top of it.
    fn untaken(&self) -> Option<u64> {
        None
    }
}

impl Stream for TcpStream {
    fn halves(self: Box<Self>) -> (ReadHalf, WriteHalf) {
        let (read, write) = self.into_split();
        (Box::new(read), Box::new(write))
    }

    fn untaken(&self) -> Option<u64> {
        slipstream_socket::unacknowledged(self).ok()
    }
}

impl Stream for DuplexStream {}

/// Reaches out to other hosts.
#[async_trait]
pub trait Connector: Send + Sync {
    /// Connects to the host and the port of a target, over the transport that it names. Returns the stream and the
    /// address that it leads to.
    ///
    /// # Errors
    /// Where the name cannot be resolved or nobody answers. The caller tries again later. There is no timeout here.
    async fn connect(&self, target: &Target) -> io::Result<(Box<dyn Stream>, SocketAddr)>;
}

/// Connects over TCP. A target that wants TLS is refused: [`TlsConnector`](crate::dial::TlsConnector) reaches both.
#[derive(Debug, Clone, Copy, Default)]
pub struct TcpConnector;

#[async_trait]
impl Connector for TcpConnector {
    async fn connect(&self, target: &Target) -> io::Result<(Box<dyn Stream>, SocketAddr)> {
        if target.transport != Transport::Tcp {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "this end speaks no TLS: expected ws://"));
        }
        let stream = TcpStream::connect((target.host.as_str(), target.port)).await?;
        // Writes are gathered already; Nagle's algorithm would only hold them back.
        stream.set_nodelay(true)?;
        let remote = stream.peer_addr()?;
        Ok((Box::new(stream), remote))
    }
}

/// A stream on which the WebSocket handshake is done, and what of the peer's first frames came with it.
pub struct Socket {
    pub(crate) stream: Box<dyn Stream>,
    pub(super) ahead: Bytes,
    /// What the far end was shown if this end dialled it.
    pub(super) shown: Shown,
}

impl Socket {
    /// A stream of which nothing was read after the handshake.
    #[must_use]
    pub fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, ahead: Bytes::new(), shown: Shown::default() }
    }

    /// A stream of which `ahead` was read already.
    pub(crate) fn with_ahead(stream: Box<dyn Stream>, ahead: &[u8]) -> Self {
        // A copy, because the original keeps the whole buffer of the HTTP parser alive.
        Self { stream, ahead: Bytes::copy_from_slice(ahead), shown: Shown::default() }
    }

    /// The same, of a server that was shown this.
    pub(super) fn with_shown(self, shown: Shown) -> Self {
        Self { shown, ..self }
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("ahead", &self.ahead.len()).finish_non_exhaustive()
    }
}
