//! TLS on both ends of a link: what is loaded, the words for what is wrong with it, and how it is put in force. Sockets
//! come from `listen` and `dial`; nothing here knows a peer or a message.
//!
//! | file | subject |
//! | --- | --- |
//! | `pem` | reading files of certificates and keys |
//! | `access` | whom the file of a key is open to |
//! | `certificate` | what a certificate says |
//! | `own` | a certificate chain and its key, checked when they are loaded |
//! | `trust` | whose certificates are taken |
//! | `server`, `client` | what is in force on either end, and its reload |
//! | `turns` | how many handshakes are answered at a time |
//! | `observed` | what the metrics page says of it |
//! | `fault` | what went wrong in a handshake, in words |

mod access;
mod certificate;
mod client;
mod fault;
mod observed;
mod own;
mod pem;
mod server;
mod trust;
mod turns;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::{SupportedProtocolVersion, version};
use rustls_pki_types::ServerName;

pub use self::certificate::Certificate;
pub use self::client::{ClientTls, ClientTlsOptions, Roots};
pub(crate) use self::fault::{About, TlsFault, is_ordinary_leave, said_plainly};
pub use self::observed::{count_no_reload, count_reload, record_expiry, record_unverified, record_waiting};
pub use self::own::{EXPIRES_SOON, OwnCertificate, OwnFiles};
pub use self::pem::{MAX_PEM_BYTES, Pem, PemFault, PemRole, PemSource, is_contents};
pub use self::server::{ClientAuthorities, ServerTls, ServerTlsOptions};

/// The one protocol that is spoken over it (RFC 7301). WebSockets begin as HTTP/1.1.
const ALPN: &[u8] = b"http/1.1";

/// TLS 1.3 (RFC 8446) and 1.2 (RFC 5246).
static VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];

/// Whether those who dial a server can find this name, or this address, in its certificate.
#[must_use]
pub fn is_server_name(text: &str) -> bool {
    ServerName::try_from(text).is_ok() && !text.ends_with('.')
}

/// The one provider of cryptography. It is named wherever it is needed: nothing depends on a default of the process.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
