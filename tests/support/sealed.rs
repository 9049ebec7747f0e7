//! The client's end of TLS, so that a peer can speak to a relay over it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::{Files, Peer, Stream, upgrade_over, within};

/// Speaks TLS with the servers of one authority. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Sealer(Arc<ClientConfig>);

impl Sealer {
    /// Trusts the authority `ca` of these files, and shows the certificate `own` if there is one.
    pub fn new(files: &Files, own: Option<&str>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(files.path("ca.pem")).expect("an authority")).expect("it can be one");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().expect("versions").with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let certificate = CertificateDer::from_pem_file(files.path(&format!("{name}.pem")));
                let key = PrivateKeyDer::from_pem_file(files.path(&format!("{name}.key")));
                let chain = vec![certificate.expect("a certificate")];
                builder.with_client_auth_cert(chain, key.expect("a key")).expect("they belong together")
            }
        };
        Self(Arc::new(config))
    }

    /// The state of TLS alone, of which whoever asks moves the bytes.
    pub fn connection(&self, ip: IpAddr) -> ClientConnection {
        ClientConnection::new(Arc::clone(&self.0), ServerName::from(ip)).expect("a client")
    }

    /// Does the handshake on a stream to this address.
    pub async fn seal(&self, ip: IpAddr, stream: TcpStream) -> io::Result<Box<dyn Stream>> {
        let connector = TlsConnector::from(Arc::clone(&self.0));
        Ok(Box::new(connector.connect(ServerName::from(ip), stream).await?))
    }

    /// Connects, and does the handshake.
    pub async fn connect(&self, relay: SocketAddr) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(relay).await?;
        stream.set_nodelay(true)?;
        self.seal(relay.ip(), stream).await
    }

    /// Links a peer; `query` says who it is.
    pub async fn peer(&self, relay: SocketAddr, query: &str) -> Peer {
        let stream = within("TLS", self.connect(relay)).await.expect("it is granted");
        match within("a link", upgrade_over(stream, "", &format!("/?{query}"), &[])).await {
            Ok(link) => Peer::on(link),
            Err(refused) => panic!("{query} is refused: {refused:?}"),
        }
    }
}
