//! A listener whose links are over TLS. The handshake runs in the connection's own task.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rustls::server::Acceptor;
use tokio_rustls::LazyConfigAcceptor;

use super::linger;
use super::listener::{Accepted, ConnectInfo, HandshakeFault, Listener};
use crate::link::{Ahead, Sealed, Stream};
use crate::tls::{self, About, ServerTls, TlsFault};

/// How TLS begins: with a record of a handshake, of version 3.x (RFC 8446 §5.1).
pub(super) const HANDSHAKE: [u8; 2] = [0x16, 0x03];

/// What a client counts as that begins TLS and does not come to an end with it, unless for its certificate.
pub(super) const COUNTED_AS: &str = "tls";

/// What a client is told that speaks HTTP where TLS is spoken.
const SPEAK_TLS: &str = "this port speaks TLS: expected a URL that begins with wss:// or https://";

/// Speaks TLS on what another listener accepts.
#[derive(Debug)]
pub struct TlsListener<L> {
    inner: L,
    tls: Arc<ServerTls>,
}

impl<L: Listener> TlsListener<L> {
    /// Takes up the connections of `inner`, with what `tls` has in force at the time of each.
    #[must_use]
    pub fn new(inner: L, tls: Arc<ServerTls>) -> Self {
        Self { inner, tls }
    }
}

#[async_trait]
impl<L: Listener> Listener for TlsListener<L> {
    async fn accept(&self) -> io::Result<Accepted> {
        let accepted = self.inner.accept().await?;
        let tls = Arc::clone(&self.tls);
        Ok(Accepted::after(accepted.remote(), async move {
            let (stream, info) = accepted.handshake().await?;
            accept_tls(stream, info, &tls).await
        }))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// Does the handshake of TLS on a connection, and notes what certificates the client has proven to have. There is no
/// timeout here.
///
/// # Errors
/// In plain words. A client that speaks HTTP is told 400 first.
pub async fn accept_tls(
    stream: Box<dyn Stream>,
    info: ConnectInfo,
    in_force: &ServerTls,
) -> io::Result<(Box<dyn Stream>, ConnectInfo)> {
    let stream = expect_tls(Ahead::in_pieces(stream)).await?;
    let refused = |error| refused(error, info.remote);
    let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(refused)?;
    let stream = in_force.answer(hello).await.map_err(refused)?;
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let certificates: Arc<[Bytes]> = certificates.iter().map(|der| Bytes::copy_from_slice(der)).collect();
    Ok((Box::new(Sealed::new(stream)), info.with_certificates(certificates)))
}

/// The same error, in words and with what it counts as if it is one of TLS. It is none if the client has left.
fn refused(error: io::Error, client: SocketAddr) -> io::Error {
    let error = tls::said_plainly(error);
    let Some(fault) = TlsFault::of(&error) else { return error };
    let counted_as = match fault.about {
        About::NoCertificate => "no_certificate",
        About::Certificate => "wrong_certificate",
        About::Other => COUNTED_AS,
    };
    HandshakeFault::new(counted_as, fault.to_string()).of(client).into()
}

/// Returns the stream if TLS begins on it. Before rustls has seen a byte, because it answers what is no TLS with an alert.
async fn expect_tls(mut stream: Ahead<Box<dyn Stream>>) -> io::Result<Ahead<Box<dyn Stream>>> {
    let first = stream.first().await?;
    if first == HANDSHAKE[0] {
        return Ok(stream);
    }
    if first.is_ascii_uppercase() {
        linger::refuse(stream.into_inner(), SPEAK_TLS).await?;
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "the client speaks no TLS"))
}
