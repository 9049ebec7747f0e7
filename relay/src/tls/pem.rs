//! Reading PEM (RFC 7468). What is wrong with a file is said in words of our own: the parser's own errors quote what may
//! be a key.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use rustls_pki_types::pem::{Error as ParseError, PemObject};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use super::access::Access;

/// Largest file; the roots of a system are a quarter of it.
pub const MAX_PEM_BYTES: u64 = 1024 * 1024;

/// Most labels of sections that a fault names, and the longest.
const MOST_LABELS: usize = 8;
const LONGEST_LABEL: usize = 64;

/// Whether a text that should be the path of a file is rather what belongs into one: PEM, or the base64 of a key or a
/// certificate that has lost the lines around it.
#[must_use]
pub fn is_contents(text: &str) -> bool {
    let base64 = |each: char| each.is_ascii_alphanumeric() || matches!(each, '+' | '/' | '=');
    // The shortest key has 64 characters, and DER begins with an M. No path that has a meaning looks so.
    let is_bare = text.len() >= 100 || text.len() >= 60 && text.starts_with('M');
    text.contains("-----BEGIN") || text.contains('\n') || is_bare && text.chars().all(base64)
}

/// What certificates, a key or lists are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PemRole {
    /// The chain that this end shows.
    Certificate,
    /// The key of that chain.
    Key,
    /// The authorities whose certificates are taken.
    Authorities,
    /// The lists of certificates that are taken no more.
    Revoked,
}

/// What is wrong with a certificate, a key or a list of them: the name of the file or setting, what was expected, what
/// is there, and how to mend it. It holds nothing of the contents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {fault}")]
pub struct PemFault {
    /// The file, or the setting that has the text.
    pub name: String,
    /// What it is for.
    pub role: PemRole,
    /// What is wrong.
    pub fault: String,
}

impl PemFault {
    /// One of no file: the certificate cannot be put to use.
    pub(super) fn of_tls(error: &rustls::Error) -> Self {
        Self { name: "TLS".to_owned(), role: PemRole::Certificate, fault: error.to_string() }
    }
}

/// Where a [`Pem`] comes from. A file is read again at each reload.
#[derive(Clone, PartialEq, Eq)]
pub enum PemSource {
    /// This file.
    File(PathBuf),
    /// The text itself, under the name of its setting.
    Text(Pem),
}

impl PemSource {
    /// What is there now, to be used as this.
    ///
    /// # Errors
    /// As [`Pem::read`].
    pub fn load(&self, role: PemRole) -> Result<Pem, PemFault> {
        match self {
            Self::File(path) => Pem::read(path, role),
            Self::Text(pem) => Ok(Pem { role, ..pem.clone() }),
        }
    }

    /// The file, if it is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Text(_) => None,
        }
    }
}

/// The name alone.
impl fmt::Debug for PemSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Text(pem) => pem.fmt(f),
        }
    }
}

/// Text in PEM, and where it comes from. It may be a key, so it is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem {
    name: String,
    role: PemRole,
    text: Vec<u8>,
    /// Whom its file is open to, if it is one.
    access: Option<Access>,
}

impl Pem {
    /// Reads a file, to be used as this.
    ///
    /// # Errors
    /// It cannot be read, or is larger than [`MAX_PEM_BYTES`]; or the path is none, and is not repeated.
    pub fn read(path: &Path, role: PemRole) -> Result<Self, PemFault> {
        let name = path.display().to_string();
        if is_contents(&name) {
            let fault = "expected the path of a file, got what belongs into one".to_owned();
            return Err(PemFault { name: "certificate or key".to_owned(), role, fault });
        }
        let fault = |fault: String| PemFault { name: name.clone(), role, fault };
        let mut text = Vec::new();
        let file = File::open(path).map_err(|error| fault(format!("it cannot be opened: {error}")))?;
        let access = file.metadata().ok().map(|found| Access::of(&found));
        let read = file.take(MAX_PEM_BYTES + 1).read_to_end(&mut text);
        read.map_err(|error| fault(format!("it cannot be read: {error}")))?;
        if text.len() as u64 > MAX_PEM_BYTES {
            return Err(fault(format!("expected at most {MAX_PEM_BYTES} bytes")));
        }
        Ok(Self { name, role, text, access })
    }

    /// Text that was given as such, under the name of its setting. What it is for is said when it is loaded.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), role: PemRole::Certificate, text: text.into(), access: None }
    }

    /// The file or the setting.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its owner should know if this is a key that others may read.
    #[must_use]
    pub fn exposure(&self) -> Option<String> {
        let access = self.access?;
        let (most, mode, name) = (access.too_much()?, access.mode, &self.name);
        Some(format!(
            "{name}: this key is open to others than its owner (mode {mode:03o}); expected `chmod {most} {name}`, or in the volume \
             of a Kubernetes Secret `defaultMode: 0400` (0440 with an fsGroup)"
        ))
    }

    /// The certificates, in their order; at least one.
    ///
    /// # Errors
    /// There is none, or not all of it can be read.
    pub fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, PemFault> {
        if self.labels().any(|label| label == "TRUSTED CERTIFICATE") {
            return Err(self.fault(
                "a TRUSTED CERTIFICATE is a format of OpenSSL's own: convert it with `openssl x509 -in FILE -out OTHER`",
            ));
        }
        self.all("a certificate (-----BEGIN CERTIFICATE-----)")
    }

    /// The lists of revoked certificates; at least one.
    ///
    /// # Errors
    /// There is none, or not all of it can be read.
    pub fn revocation_lists(&self) -> Result<Vec<CertificateRevocationListDer<'static>>, PemFault> {
        self.all("a list of revoked certificates (-----BEGIN X509 CRL-----)")
    }

    /// The one private key.
    ///
    /// # Errors
    /// There is none or more than one, or it is encrypted.
    pub fn key(&self) -> Result<PrivateKeyDer<'static>, PemFault> {
        let is_marked = self.lines().any(|line| line.starts_with(b"Proc-Type:") && line.ends_with(b"ENCRYPTED"));
        if is_marked || self.labels().any(|label| label == "ENCRYPTED PRIVATE KEY") {
            return Err(self.fault(
                "the key is encrypted, and at a start nobody is there to type its passphrase: decrypt it with \
                 `openssl pkey -in FILE -out OTHER`, and let only the relay's user read that file",
            ));
        }
        let mut keys: Vec<PrivateKeyDer<'static>> = self.all("a private key (-----BEGIN PRIVATE KEY-----)")?;
        match (keys.pop(), keys.len()) {
            (Some(key), 0) => Ok(key),
            (_, more) => Err(self.fault(format!("expected one private key, got {}", more + 1))),
        }
    }

    fn all<T: PemObject>(&self, wanted: &str) -> Result<Vec<T>, PemFault> {
        if let Some(fault) = self.unreadable() {
            return Err(self.fault(format!("expected {wanted}, but {fault}")));
        }
        let found: Vec<T> = T::pem_slice_iter(&self.text).collect::<Result<_, _>>().map_err(|error| {
            self.fault(match error {
                ParseError::MissingSectionEnd { .. } => "a -----BEGIN line has no -----END line: the file was cut",
                ParseError::IllegalSectionStart { .. } => "a -----BEGIN line does not end in -----",
                ParseError::Base64Decode(_) => "what stands between a -----BEGIN and its -----END line is not base64",
                _ => "it cannot be read as PEM",
            })
        })?;
        if found.is_empty() {
            let mut labels: Vec<_> = self.labels().take(MOST_LABELS).collect();
            labels.dedup();
            let there = if labels.is_empty() { "no line begins with -----BEGIN".to_owned() } else { labels.join(", ") };
            return Err(self.fault(format!("expected {wanted}, got {there}")));
        }
        Ok(found)
    }

    /// Why a parser, which looks for lines that begin with `-----BEGIN`, would pass over some of it in silence.
    fn unreadable(&self) -> Option<String> {
        let text = &self.text[..];
        if text.iter().all(u8::is_ascii_whitespace) {
            return Some("it is empty".to_owned());
        }
        if matches!(text, [0x30, second, ..] if *second >= 0x80) {
            return Some(
                "it is binary (DER or PKCS #12): convert it with `openssl x509 -inform DER`, `openssl pkey -inform DER` or \
                 `openssl pkcs12 -nodes`"
                    .to_owned(),
            );
        }
        if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") || text.iter().take(64).any(|byte| *byte == 0)
        {
            return Some("it is UTF-16, or no text: save it as UTF-8 without a byte order mark".to_owned());
        }
        if text.starts_with(b"\xef\xbb\xbf") {
            return Some("it begins with a byte order mark: save it as UTF-8 without one".to_owned());
        }
        let stands_right =
            |line: &[u8]| line.starts_with(b"-----BEGIN") || !line.trim_ascii_start().starts_with(b"-----BEGIN");
        let at = self.lines().position(|line| !stands_right(line))?;
        Some(format!("its line {} is indented: remove what stands before -----BEGIN, on the lines below too", at + 1))
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// What the sections say that they are, if that is no longer than a label is.
    fn labels(&self) -> impl Iterator<Item = &str> {
        let label = |line| -> Option<&str> {
            let line: &[u8] = line;
            let label = line.trim_ascii().strip_prefix(b"-----BEGIN ")?.strip_suffix(b"-----")?;
            let is_label = |label: &&str| label.len() <= LONGEST_LABEL && !label.contains(char::is_control);
            std::str::from_utf8(label).ok().filter(is_label)
        };
        self.lines().filter_map(label)
    }

    pub(super) fn fault(&self, fault: impl Into<String>) -> PemFault {
        PemFault { name: self.name.clone(), role: self.role, fault: fault.into() }
    }
}

/// The name alone.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pem").field("name", &self.name).finish_non_exhaustive()
    }
}
