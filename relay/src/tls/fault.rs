//! What went wrong with TLS, in words: rustls' own leave open whose certificate is meant, and what to do.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

/// The keys that are taken of a far end: what the crypto provider verifies with.
const KEYS_TAKEN: &str = "RSA of 2048 to 8192 bits, ECDSA on P-256 or P-384, or Ed25519";

/// Whether the far end has left without saying goodbye to TLS, which most WebSocket libraries do. What it had to say
/// stands in the frames: a link that was cut lacks its Close.
pub(crate) fn is_ordinary_leave(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}

/// Why two ends do not come together over TLS, in words. An [`io::Error`] carries it.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
pub(crate) struct TlsFault {
    /// What it is about.
    pub(crate) about: About,
    words: String,
}

impl From<TlsFault> for io::Error {
    fn from(fault: TlsFault) -> Self {
        Self::other(fault)
    }
}

/// What a fault of TLS is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// The client showed no certificate.
    NoCertificate,
    /// The certificate of the far end is not taken here.
    Certificate,
    /// Anything else, such as a far end that does not take the certificate of this one.
    Other,
}

impl TlsFault {
    /// The one that an error carries.
    pub(crate) fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// One that is told in these words.
    pub(crate) fn said(words: impl Into<String>) -> Self {
        Self { about: About::Other, words: words.into() }
    }

    fn new(error: &Error) -> Self {
        let about = match error {
            Error::NoCertificatesPresented => About::NoCertificate,
            Error::InvalidCertificate(_) => About::Certificate,
            _ => About::Other,
        };
        Self { about, words: words(error) }
    }
}

/// The same error, as a [`TlsFault`] if it is one of TLS.
pub(crate) fn said_plainly(error: io::Error) -> io::Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(of_tls) => io::Error::new(error.kind(), TlsFault::new(of_tls)),
        None => error,
    }
}

fn words(error: &Error) -> String {
    match error {
        Error::NoCertificatesPresented => "the client showed no certificate, and one is required here".to_owned(),
        Error::InvalidCertificate(fault) => {
            format!("the far end's certificate is not taken: {}", of_certificate(fault))
        }
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the far end does not speak TLS there: expected a URL that begins with ws://, or another port".to_owned()
        }
        Error::PeerIncompatible(_) => format!("the far end has no version or cipher of TLS in common: {error}"),
        Error::NoApplicationProtocol => "the far end does not speak http/1.1 over TLS (ALPN)".to_owned(),
        Error::AlertReceived(alert) => of_alert(*alert),
        error => error.to_string(),
    }
}

fn of_certificate(fault: &CertificateError) -> String {
    match fault {
        CertificateError::UnknownIssuer => "no authority that is trusted here has issued it".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet; are the clocks right?".to_owned()
        }
        CertificateError::Revoked => "it was revoked".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let expected = expected.to_str();
            match presented.iter().map(|name| bare(name)).collect::<Vec<_>>().join(", ").as_str() {
                "" => format!("it has no subjectAltName, which is where it must name {expected}"),
                names => format!("it is for {names}, not for {expected}"),
            }
        }
        CertificateError::BadSignature => {
            format!("a signature is wrong, or made with a key that is not taken here (expected {KEYS_TAKEN})")
        }
        fault => match fault.to_string() {
            said if said.contains("CaUsedAsEndEntity") => {
                "it is one of an authority (CA:TRUE): issue it again with basicConstraints=CA:FALSE".to_owned()
            }
            said if said.contains("UnsupportedCertVersion") => {
                "it is of X.509 version 1: issue it again with an extension, such as subjectAltName".to_owned()
            }
            said if said.contains("EkuError") => "its extendedKeyUsage does not allow what it is used for".to_owned(),
            said => said,
        },
    }
}

/// A name of a certificate without its kind, which rustls puts around it: `DnsName("relay.example")`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.map_or(name, |inner| inner.trim_matches('"'))
}

fn of_alert(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => "the peer requires a client certificate".to_owned(),
        AlertDescription::UnknownCA => {
            "the far end does not trust the authority that has issued the certificate of this end".to_owned()
        }
        AlertDescription::DecryptError => {
            "the far end cannot verify the certificate of this end: another authority of that name has issued it, or its key \
             is another"
                .to_owned()
        }
        // There is one alert for both.
        AlertDescription::CertificateExpired => {
            "the certificate of this end has expired or is not valid yet, says the far end; are the clocks right?".to_owned()
        }
        AlertDescription::CertificateRevoked => "the certificate of this end was revoked, says the far end".to_owned(),
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown => {
            format!("the far end does not take the certificate of this end ({alert:?})")
        }
        AlertDescription::HandshakeFailure => format!(
            "the far end has no version or cipher of TLS in common with this end, or its key is not taken here (expected \
             {KEYS_TAKEN})"
        ),
        alert => format!("the far end has ended TLS: {alert:?}"),
    }
}
