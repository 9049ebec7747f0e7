//! Whose certificates are taken: those of clients by a listener, those of servers by a connector.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use slipstream_store::Timestamp;
use x509_parser::revocation_list::CertificateRevocationList;

use super::certificate::Certificate;
use super::pem::{Pem, PemFault};
use super::provider;

/// Reads the certificates of authorities.
fn roots(authorities: &Pem) -> Result<(RootCertStore, Vec<Certificate>), PemFault> {
    let mut roots = RootCertStore::empty();
    let mut certificates = Vec::new();
    for (at, der) in authorities.certificates()?.into_iter().enumerate() {
        let certificate = Certificate::read(&der);
        let certificate =
            certificate.ok_or_else(|| authorities.fault(format!("its certificate {} cannot be read", at + 1)))?;
        roots.add(der).map_err(|error| {
            let subject = &certificate.subject;
            authorities.fault(format!("its certificate {} ({subject}) cannot be an authority: {error}", at + 1))
        })?;
        certificates.push(certificate);
    }
    Ok((roots, certificates))
}

/// Takes the clients that one of some authorities has certified, and no other.
pub(super) struct ClientTrust {
    verifier: Arc<dyn ClientCertVerifier>,
    /// The file of authorities, and their certificates.
    authorities: (String, Vec<Certificate>),
    /// The file of lists, and until when each of them is up to date, with its issuer.
    lists: Option<(String, Vec<RevocationList>)>,
    /// The authorities that have no list, although others have one.
    unlisted: Vec<String>,
    /// The names that several authorities have, although there are lists. A list says of whom it is by name alone.
    shared: Vec<String>,
}

struct RevocationList {
    issuer: String,
    next_update: Option<Timestamp>,
}

impl ClientTrust {
    /// With lists of revoked certificates, what they name is refused.
    ///
    /// # Errors
    /// With the name of the file at fault.
    pub(super) fn new(authorities: &Pem, revoked: Option<&Pem>) -> Result<Self, PemFault> {
        let (roots, certificates) = roots(authorities)?;
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        let (mut lists, mut unlisted, mut shared) = (None, Vec::new(), Vec::new());
        if let Some(revoked) = revoked {
            let ders = revoked.revocation_lists()?;
            let read = ders.iter().enumerate().map(|(at, der)| {
                let (_, list) = x509_parser::parse_x509_crl(der)
                    .map_err(|_| revoked.fault(format!("its list {} cannot be read", at + 1)))?;
                Ok((list.issuer().as_raw().to_vec(), RevocationList::of(&list)))
            });
            let (issuers, read): (Vec<_>, Vec<_>) = read.collect::<Result<Vec<_>, PemFault>>()?.into_iter().unzip();
            unlisted =
                certificates.iter().filter(|it| !issuers.iter().any(|issuer| it.is_named(issuer))).cloned().collect();
            lists = Some((revoked.name().to_owned(), read));
            shared = certificates.iter().map(|it| it.subject.clone()).collect();
            shared.sort_unstable();
            shared = shared
                .chunk_by(|one, next| one == next)
                .filter(|same| same.len() > 1)
                .map(|same| same[0].clone())
                .collect();
            // The list of one authority says nothing of the clients of another, which are taken without one.
            builder = builder.with_crls(ders).allow_unknown_revocation_status();
        }
        let verifier = builder.build().map_err(|error| revoked.unwrap_or(authorities).fault(error.to_string()))?;
        let unlisted = unlisted.into_iter().map(|certificate: Certificate| certificate.subject).collect();
        let authorities = (authorities.name().to_owned(), certificates);
        Ok(Self { verifier, authorities, lists, unlisted, shared })
    }

    pub(super) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.verifier)
    }

    /// What an operator should know, though it can be used.
    pub(super) fn warnings(&self, now: Timestamp) -> impl Iterator<Item = String> {
        let lists = self.lists.iter().flat_map(|(name, lists)| lists.iter().map(move |list| (name, list)));
        let outdated = lists.filter(move |(_, list)| list.next_update.is_some_and(|due| due < now));
        let outdated = outdated.map(|(name, list)| {
            format!("{name}: the list of {} is out of date: what was revoked since then is still taken", list.issuer)
        });
        let name = self.lists.as_ref().map_or("", |(name, _)| name);
        let unlisted = self.unlisted.iter().map(move |authority| {
            format!("{name}: there is no list of {authority}: what it has revoked is still taken")
        });
        let shared = self.shared.iter().map(move |authority| {
            format!(
                "{name}: {authority} is the name of more than one authority: a list of one refuses the clients of the \
                 other. Make the new authority again under another subject"
            )
        });
        let (file, authorities) = &self.authorities;
        let unfit = authorities.iter().flat_map(move |authority| unfit(authority, now));
        let unfit = unfit.map(move |fault| format!("{file}: {fault}"));
        unfit.chain(outdated).chain(unlisted).chain(shared)
    }
}

/// What is the matter with the certificate of an authority. The verifier looks neither at its dates nor at whether it is
/// one.
fn unfit(authority: &Certificate, now: Timestamp) -> impl Iterator<Item = String> {
    let subject = &authority.subject;
    let untimely = authority.untimely(now);
    let untimely = untimely
        .map(|it| format!("the authority {subject} {it}; the clients that it has certified are taken all the same"));
    // There is no way to say so in version 1.
    let is_none = !authority.is_authority && !authority.is_version_1;
    let none = is_none.then(|| {
        let refused = match authority.is_issued_by(authority) {
            true => String::new(),
            false => format!(", and no client of its issuer, {}, is taken", authority.issuer),
        };
        format!(
            "{subject} is not an authority (its certificate is not CA:TRUE), yet whoever has its key can certify \
             clients{refused}: expected the certificate of an authority"
        )
    });
    untimely.into_iter().chain(none)
}

impl RevocationList {
    fn of(list: &CertificateRevocationList<'_>) -> Self {
        let next_update = list.next_update().map(|due| u64::try_from(due.timestamp()).unwrap_or_default());
        let next_update = next_update.map(|seconds| Timestamp::from_millis(seconds.saturating_mul(1_000)));
        Self { issuer: list.issuer().to_string(), next_update }
    }
}

/// Takes the servers that one of these authorities has certified, under the name that was dialled.
///
/// # Errors
/// With the name of the file at fault.
pub(super) fn servers(authorities: &Pem) -> Result<Arc<dyn ServerCertVerifier>, PemFault> {
    let (roots, _) = roots(authorities)?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
    verifier.build().map(|verifier| verifier as _).map_err(|error| authorities.fault(error.to_string()))
}

/// Takes every certificate, of anybody (`rejectUnauthorized: false`). That the server has the key of it is still verified.
#[derive(Debug)]
pub(super) struct Anybody(pub(super) WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
