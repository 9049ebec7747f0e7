//! Reaching out over TLS.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use async_trait::async_trait;
use rustls_pki_types::ServerName;

use crate::link::{Ahead, Connector, Sealed, Stream, Target, TcpConnector, Transport};
use crate::tls::{self, TlsFault};

/// Connects over TCP, and speaks TLS on it if the target wants that. The connection below is another connector's.
#[derive(Debug, Clone, Copy, Default)]
pub struct TlsConnector<C = TcpConnector>(C);

impl<C: Connector> TlsConnector<C> {
    /// Speaks TLS on what `inner` connects.
    #[must_use]
    pub fn new(inner: C) -> Self {
        Self(inner)
    }
}

#[async_trait]
impl<C: Connector> Connector for TlsConnector<C> {
    async fn connect(&self, target: &Target) -> io::Result<(Box<dyn Stream>, SocketAddr)> {
        let Transport::Tls(certificates) = &target.transport else { return self.0.connect(target).await };
        let config = certificates.config().map_err(|fault| TlsFault::said(fault.to_string()))?;
        let name = ServerName::try_from(target.host.clone());
        let name = name.map_err(|_| TlsFault::said("its name is none that a certificate can have"))?;
        let plain = Target { transport: Transport::Tcp, ..target.clone() };
        let (stream, remote) = self.0.connect(&plain).await?;
        let stream = tokio_rustls::TlsConnector::from(config).connect(name, Ahead::in_pieces(stream)).await;
        Ok((Box::new(Sealed::new(stream.map_err(failed)?)), remote))
    }
}

/// Puts it in words. A far end that hangs up says nothing of TLS, and so does what passes a connection on to nobody.
fn failed(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
            io::Error::new(error.kind(), "the far end hung up in the handshake of TLS")
        }
        _ => tls::said_plainly(error),
    }
}
