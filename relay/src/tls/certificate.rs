//! What a certificate says (RFC 5280), as far as people who set one up must know it. Nothing is verified here.

use std::fmt;
use std::net::IpAddr;

use slipstream_store::Timestamp;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::{OID_KEY_TYPE_EC_PUBLIC_KEY, OID_PKCS1_RSAENCRYPTION};
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Version;

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Whom it is about, as OpenSSL writes it: `CN=machine-7, O=Example`.
    pub subject: String,
    /// Who has signed it.
    pub issuer: String,
    /// The names that it is for: the subject alternative names, as they are written: `machine-7`, `10.0.0.7`,
    /// `spiffe://a/b`, `ops@example.com`.
    pub names: Vec<String>,
    /// The common names of its subject.
    pub common_names: Vec<String>,
    /// When it begins to be valid.
    pub not_before: Timestamp,
    /// When it ends.
    pub not_after: Timestamp,
    /// [`not_before`](Self::not_before) as people write it.
    begins: String,
    pub(super) key: KeyKind,
    pub(super) is_version_1: bool,
    pub(super) is_authority: bool,
    subject_der: Vec<u8>,
    issuer_der: Vec<u8>,
}

/// The kind of a public key, as people name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyKind(String);

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Certificate {
    /// Reads a certificate; nothing if it is none.
    #[must_use]
    pub fn read(der: &[u8]) -> Option<Self> {
        let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
        let names = certificate.subject_alternative_name().ok().flatten();
        let names = names.map(|extension| extension.value.general_names.iter().filter_map(name).collect());
        let common_names = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
        let authority = certificate.basic_constraints().ok().flatten();
        let validity = certificate.validity();
        Some(Self {
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            names: names.unwrap_or_default(),
            common_names: common_names.map(str::to_owned).collect(),
            not_before: timestamp(validity.not_before),
            not_after: timestamp(validity.not_after),
            begins: validity.not_before.to_string(),
            key: key_kind(&certificate),
            is_version_1: certificate.version() == X509Version::V1,
            is_authority: authority.is_some_and(|extension| extension.value.ca),
            subject_der: certificate.subject().as_raw().to_vec(),
            issuer_der: certificate.issuer().as_raw().to_vec(),
        })
    }

    /// What is the matter with its dates at `now`, if it is not valid then: `has expired`, or when it begins.
    pub(super) fn untimely(&self, now: Timestamp) -> Option<String> {
        if self.not_after <= now {
            return Some("has expired".to_owned());
        }
        (now < self.not_before).then(|| format!("is not valid yet, only from {} on", self.begins))
    }

    /// Whether it names `issuer` as its issuer.
    pub(super) fn is_issued_by(&self, issuer: &Self) -> bool {
        self.issuer_der == issuer.subject_der
    }

    /// Whether this is its subject, in DER.
    pub(super) fn is_named(&self, subject: &[u8]) -> bool {
        self.subject_der == subject
    }

    /// The names by which a credential may know the peer: the alternative names and the common name.
    pub fn all_names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().chain(&self.common_names).map(String::as_str)
    }
}

fn timestamp(time: ASN1Time) -> Timestamp {
    Timestamp::from_millis(u64::try_from(time.timestamp()).unwrap_or_default().saturating_mul(1_000))
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let address = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = address.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

fn key_kind(certificate: &X509Certificate<'_>) -> KeyKind {
    let key = certificate.public_key();
    let algorithm = &key.algorithm;
    let kind = match key.parsed() {
        Ok(PublicKey::RSA(key)) if algorithm.algorithm == OID_PKCS1_RSAENCRYPTION => format!("RSA {}", key.key_size()),
        _ if algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY => {
            let curve = algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
            match curve.map(|oid| oid.to_id_string()).as_deref() {
                Some("1.2.840.10045.3.1.7") => "ECDSA P-256".to_owned(),
                Some("1.3.132.0.34") => "ECDSA P-384".to_owned(),
                Some("1.3.132.0.35") => "ECDSA P-521".to_owned(),
                Some(other) => format!("ECDSA on curve {other}"),
                None => "ECDSA".to_owned(),
            }
        }
        _ => match algorithm.algorithm.to_id_string().as_str() {
            "1.3.101.112" => "Ed25519".to_owned(),
            "1.3.101.113" => "Ed448".to_owned(),
            other => format!("of algorithm {other}"),
        },
    };
    KeyKind(kind)
}
