//! What a listener shows and whose clients it takes, put in force together and changed while links are up.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use slipstream_store::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::StartHandshake;
use tokio_rustls::server::TlsStream;

use super::own::{OwnCertificate, OwnFiles};
use super::pem::{PemFault, PemRole, PemSource};
use super::trust::ClientTrust;
use super::turns::Turns;
use super::{ALPN, VERSIONS, provider};

/// What a listener shows, and whose clients it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTlsOptions {
    /// What it shows.
    pub own: OwnFiles,
    /// Whose clients it takes; `None` asks for no certificate.
    pub clients: Option<ClientAuthorities>,
}

/// Whose clients a listener takes: those that one of these authorities has certified. One without a certificate is
/// refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAuthorities {
    /// The certificates of the authorities.
    pub authorities: PemSource,
    /// The lists of certificates that are taken no more.
    pub revoked: Option<PemSource>,
}

/// The TLS of a listener. What [`reload`](Self::reload) takes up holds for links from then on; those that are up stay.
pub struct ServerTls {
    options: ServerTlsOptions,
    current: ArcSwap<InForce>,
    turns: Turns,
}

struct InForce {
    config: Arc<ServerConfig>,
    own: OwnCertificate,
    clients: Option<ClientTrust>,
}

impl ServerTls {
    /// Reads what the options name and checks it.
    ///
    /// # Errors
    /// With the name of the file at fault.
    pub fn load(options: ServerTlsOptions) -> Result<Self, PemFault> {
        let current = ArcSwap::from_pointee(InForce::load(&options)?);
        Ok(Self { options, current, turns: Turns::new() })
    }

    /// Reads it again, and puts all of it in force or nothing.
    ///
    /// # Errors
    /// As [`load`](Self::load), and if the certificate is not valid at `now` while the one in force is; what was in force
    /// stays.
    pub fn reload(&self, now: Timestamp) -> Result<(), PemFault> {
        let loaded = InForce::load(&self.options)?;
        loaded.own.replace(&self.current.load().own, now)?;
        self.current.store(Arc::new(loaded));
        Ok(())
    }

    /// What it was made with.
    #[must_use]
    pub fn options(&self) -> &ServerTlsOptions {
        &self.options
    }

    /// The files that are read.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let clients = self.options.clients.iter();
        let clients = clients.flat_map(|clients| [Some(&clients.authorities), clients.revoked.as_ref()]).flatten();
        self.options.own.sources().into_iter().chain(clients).filter_map(PemSource::path)
    }

    /// When the certificate in force ends.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.current.load().own.not_after()
    }

    /// What an operator should know of what is in force, though it can be used.
    #[must_use]
    pub fn warnings(&self, now: Timestamp) -> Vec<String> {
        let current = self.current.load();
        let mut warnings = current.own.warnings(now);
        warnings.extend(current.clients.iter().flat_map(|clients| clients.warnings(now)));
        warnings
    }

    /// How many handshakes wait for their answer, because as many are being answered as there are processors.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.turns.waiting()
    }

    /// Answers the first message of a client with what is in force then, when its turn has come, and ends the handshake.
    ///
    /// # Errors
    /// They do not come together, or the client has left.
    pub(crate) async fn answer<S>(&self, hello: StartHandshake<S>) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let turn = self.turns.next().await?;
        let config = Arc::clone(&self.current.load().config);
        turn.compute(move || hello.into_stream(config)).await?.await
    }
}

impl InForce {
    fn load(options: &ServerTlsOptions) -> Result<Self, PemFault> {
        let own = options.own.load()?;
        let clients = match &options.clients {
            Some(ClientAuthorities { authorities, revoked }) => {
                let revoked = revoked.as_ref().map(|lists| lists.load(PemRole::Revoked)).transpose()?;
                Some(ClientTrust::new(&authorities.load(PemRole::Authorities)?, revoked.as_ref())?)
            }
            None => None,
        };
        let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&VERSIONS);
        let builder = builder.map_err(|error| PemFault::of_tls(&error))?;
        let builder = match &clients {
            Some(clients) => builder.with_client_cert_verifier(clients.verifier()),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&own.key))));
        config.alpn_protocols = vec![ALPN.to_vec()];
        // A session that is taken up again is not judged again: each link is by the certificates and lists in force.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self { config: Arc::new(config), own, clients })
    }
}

/// The names of the files.
impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("options", &self.options).finish_non_exhaustive()
    }
}
