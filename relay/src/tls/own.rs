//! A certificate chain of one's own and its key, checked when they are loaded: what rustls would say of them in the
//! middle of a handshake reads as if the peer were at fault.

use std::sync::Arc;
use std::time::Duration;

use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use slipstream_store::Timestamp;

use super::certificate::Certificate;
use super::pem::{Pem, PemFault, PemRole, PemSource};
use super::provider;

/// How long before its end a certificate is warned of.
pub const EXPIRES_SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What the crypto provider signs with.
const KEY_TYPES: &str = "RSA of 2048 to 4096 bits, ECDSA on P-256 or P-384, or Ed25519";

/// Where a certificate chain and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnFiles {
    /// The chain, the host's own certificate first.
    pub certificate: PemSource,
    /// The key of that one.
    pub key: PemSource,
}

impl OwnFiles {
    /// What is there now.
    ///
    /// # Errors
    /// As [`OwnCertificate::new`].
    pub fn load(&self) -> Result<OwnCertificate, PemFault> {
        OwnCertificate::new(&self.certificate.load(PemRole::Certificate)?, &self.key.load(PemRole::Key)?)
    }

    pub(super) fn sources(&self) -> [&PemSource; 2] {
        [&self.certificate, &self.key]
    }
}

/// A certificate chain and its key.
#[derive(Debug, Clone)]
pub struct OwnCertificate {
    pub(super) key: Arc<CertifiedKey>,
    certificate: Certificate,
    name: String,
    /// That others may read the key, in words.
    exposure: Option<String>,
}

impl OwnCertificate {
    /// Checks a chain, its own certificate first, and the key of that one.
    ///
    /// # Errors
    /// With the name of the file at fault.
    pub fn new(chain: &Pem, key: &Pem) -> Result<Self, PemFault> {
        let ders = chain.certificates()?;
        let read = |(at, der): (usize, &CertificateDer<'_>)| {
            Certificate::read(der)
                .ok_or_else(|| chain.fault(format!("its certificate {} cannot be read (X.509)", at + 1)))
        };
        let certificates = ders.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
        let Some((own, issuers)) = certificates.split_first() else {
            return Err(chain.fault("expected a certificate"));
        };
        for (at, certificate) in certificates.iter().enumerate() {
            if certificate.is_version_1 {
                return Err(chain.fault(format!(
                    "its certificate {} ({}) is of X.509 version 1, which no TLS library of today takes: issue it again \
                     with an extension, such as `openssl x509 -req … -extfile <(echo subjectAltName=DNS:HOST)`",
                    at + 1,
                    certificate.subject
                )));
            }
        }
        in_order(own, issuers).map_err(|fault| chain.fault(fault))?;
        let der = key.key()?;
        let signing = provider().key_provider.load_private_key(der).map_err(|_| {
            key.fault(format!(
                "the key cannot be used; the certificate has one that is {}, expected {KEY_TYPES}",
                own.key
            ))
        })?;
        let certified = CertifiedKey::new(ders, signing);
        if let Err(rustls::Error::InconsistentKeys(_)) = certified.keys_match() {
            return Err(key.fault(format!(
                "it is not the key of the first certificate of {} ({})",
                chain.name(),
                own.subject
            )));
        }
        let (certificate, name, exposure) = (own.clone(), chain.name().to_owned(), key.exposure());
        Ok(Self { key: Arc::new(certified), certificate, name, exposure })
    }

    /// When it ends.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.certificate.not_after
    }

    /// What its owner should know if it is shown by a server, though it can be used.
    #[must_use]
    pub fn warnings(&self, now: Timestamp) -> Vec<String> {
        let name = &self.name;
        let mut warnings = self.warnings_of_either_end(now);
        if self.certificate.names.is_empty() {
            warnings.push(format!(
                "{name}: the certificate has a common name and no subjectAltName, in which alone other relays look for the \
                 name of a host; issue it again with one"
            ));
        }
        if self.certificate.is_authority {
            warnings.push(format!(
                "{name}: the certificate is one of an authority (CA:TRUE), as `openssl req -x509` makes it unless told \
                 otherwise; other relays refuse it as that of a host: issue it again with basicConstraints=CA:FALSE"
            ));
        }
        warnings
    }

    /// What its owner should know whether a server or a client shows it.
    #[must_use]
    pub fn warnings_of_either_end(&self, now: Timestamp) -> Vec<String> {
        self.dates_warning(now).into_iter().chain(self.exposure.clone()).collect()
    }

    /// Says so if it is not valid at `now`, or ends within [`EXPIRES_SOON`].
    fn dates_warning(&self, now: Timestamp) -> Option<String> {
        const DAY: u64 = 24 * 60 * 60 * 1_000;
        let name = &self.name;
        if let Some(untimely) = self.certificate.untimely(now) {
            return Some(format!("{name}: the certificate {untimely}; every peer that verifies it refuses the link"));
        }
        let left = self.not_after().as_millis().saturating_sub(now.as_millis());
        let soon = Duration::from_millis(left) < EXPIRES_SOON;
        soon.then(|| format!("{name}: the certificate expires in {} days", left / DAY))
    }

    /// Refuses to take the place of one that is valid at `now`, if this one is not.
    ///
    /// # Errors
    /// With the name of the file.
    pub(super) fn replace(&self, in_force: &Self, now: Timestamp) -> Result<(), PemFault> {
        match self.certificate.untimely(now) {
            Some(untimely) if in_force.certificate.untimely(now).is_none() => {
                let fault = format!("the certificate {untimely}, and the one in force is valid");
                Err(PemFault { name: self.name.clone(), role: PemRole::Certificate, fault })
            }
            _ => Ok(()),
        }
    }
}

/// Each certificate of a chain is issued by the next.
fn in_order(own: &Certificate, issuers: &[Certificate]) -> Result<(), String> {
    let mut below = own;
    for (at, issuer) in issuers.iter().enumerate() {
        if !below.is_issued_by(issuer) {
            return Err(format!(
                "its certificate {} ({}) is not followed by its issuer ({}) but by {}: expected the host's own certificate \
                 first, then each one's issuer",
                at + 1,
                below.subject,
                below.issuer,
                issuer.subject
            ));
        }
        below = issuer;
    }
    Ok(())
}
