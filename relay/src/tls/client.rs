//! Whose servers an end that dials takes, and what it shows them.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::sign::SingleCertAndKey;
use slipstream_store::Timestamp;

use super::own::{OwnCertificate, OwnFiles};
use super::pem::{PemFault, PemRole, PemSource};
use super::{ALPN, VERSIONS, provider, trust};

/// Whose servers are taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Roots {
    /// Those that an authority has certified which the system trusts.
    #[default]
    System,
    /// Those that one of these authorities has certified, and no others.
    Authorities(PemSource),
    /// All, whoever they are. Whoever stands on the way can read and change everything.
    Anybody,
}

/// Whose servers an end that dials takes, and what it shows them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientTlsOptions {
    /// Whose servers it takes.
    pub roots: Roots,
    /// Its own certificate, if it has one.
    pub own: Option<OwnFiles>,
}

/// The TLS of an end that dials. Its files are read by [`load`](Self::load), or else at the first dial; what a
/// [`reload`](Self::reload) takes up holds from the next dial on. Clones share what is in force. Two are equal if they
/// were made with the same options.
#[derive(Clone, Default)]
pub struct ClientTls(Arc<Inner>);

#[derive(Default)]
struct Inner {
    options: ClientTlsOptions,
    current: ArcSwapOption<InForce>,
}

struct InForce {
    config: Arc<ClientConfig>,
    own: Option<OwnCertificate>,
}

impl ClientTls {
    /// Reads nothing yet.
    #[must_use]
    pub fn new(options: ClientTlsOptions) -> Self {
        Self(Arc::new(Inner { options, current: ArcSwapOption::empty() }))
    }

    /// Reads what the options name, checks it, and puts all of it in force or nothing.
    ///
    /// # Errors
    /// With the name of the file at fault; what was in force stays.
    pub fn load(&self) -> Result<(), PemFault> {
        self.in_force_anew().map(drop)
    }

    /// Does the same again.
    ///
    /// # Errors
    /// As [`load`](Self::load), and if its own certificate is not valid at `now` while the one in force is.
    pub fn reload(&self, now: Timestamp) -> Result<(), PemFault> {
        let loaded = InForce::load(&self.0.options)?;
        if let (Some(own), Some(in_force)) = (&loaded.own, self.own()) {
            own.replace(&in_force, now)?;
        }
        self.0.current.store(Some(Arc::new(loaded)));
        Ok(())
    }

    fn in_force_anew(&self) -> Result<Arc<InForce>, PemFault> {
        let loaded = Arc::new(InForce::load(&self.0.options)?);
        self.0.current.store(Some(Arc::clone(&loaded)));
        Ok(loaded)
    }

    /// What it was made with.
    #[must_use]
    pub fn options(&self) -> &ClientTlsOptions {
        &self.0.options
    }

    /// The files that are read.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let ClientTlsOptions { roots, own } = self.options();
        let authorities = if let Roots::Authorities(authorities) = roots { Some(authorities) } else { None };
        authorities.into_iter().chain(own.iter().flat_map(OwnFiles::sources)).filter_map(PemSource::path)
    }

    /// When its own certificate ends, if it has one.
    #[must_use]
    pub fn not_after(&self) -> Option<Timestamp> {
        self.own().map(|own| own.not_after())
    }

    /// What an operator should know of what is in force, though it can be used.
    #[must_use]
    pub fn warnings(&self, now: Timestamp) -> Vec<String> {
        self.own().map(|own| own.warnings_of_either_end(now)).unwrap_or_default()
    }

    fn own(&self) -> Option<OwnCertificate> {
        self.0.current.load().as_ref()?.own.clone()
    }

    /// What is in force now.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, PemFault> {
        let in_force = match self.0.current.load_full() {
            Some(in_force) => in_force,
            None => self.in_force_anew()?,
        };
        Ok(Arc::clone(&in_force.config))
    }
}

impl InForce {
    fn load(options: &ClientTlsOptions) -> Result<Self, PemFault> {
        let own = options.own.as_ref().map(OwnFiles::load).transpose()?;
        let verifier = match &options.roots {
            Roots::System => system()?,
            Roots::Authorities(authorities) => trust::servers(&authorities.load(PemRole::Authorities)?)?,
            Roots::Anybody => Arc::new(trust::Anybody(provider().signature_verification_algorithms)),
        };
        let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&VERSIONS);
        let builder = builder.map_err(|error| PemFault::of_tls(&error))?;
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match &own {
            Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&own.key)))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![ALPN.to_vec()];
        // A session that is taken up again would not be judged again.
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config), own })
    }
}

/// The verifier of the platform. It reads all roots of the system, so it is made once.
fn system() -> Result<Arc<dyn ServerCertVerifier>, PemFault> {
    static SYSTEM: OnceLock<Arc<dyn ServerCertVerifier>> = OnceLock::new();
    if let Some(verifier) = SYSTEM.get() {
        return Ok(Arc::clone(verifier));
    }
    let made = rustls_platform_verifier::Verifier::new(provider()).map_err(|error| PemFault {
        name: "the system's certificates".to_owned(),
        role: PemRole::Authorities,
        fault: format!("they cannot be used ({error}): install them (Debian: ca-certificates), or give a `ca`"),
    })?;
    Ok(Arc::clone(SYSTEM.get_or_init(|| Arc::new(made))))
}

impl PartialEq for ClientTls {
    fn eq(&self, other: &Self) -> bool {
        self.options() == other.options()
    }
}

impl Eq for ClientTls {}

/// The names of the files.
impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").field("options", self.options()).finish_non_exhaustive()
    }
}
