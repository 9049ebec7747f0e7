//! What the certificate that a peer has shown permits by itself, and until when.

use std::sync::Arc;

use async_trait::async_trait;

use super::authorizer::{Authorizer, Principal};
use super::listener::ConnectInfo;
use crate::link::{Hello, Refusal};
use crate::tls::Certificate;

/// The certificate that a peer has proven to be its own, if it has shown one.
///
/// # Errors
/// 401 if it cannot be read.
pub(super) fn shown(info: &ConnectInfo) -> Result<Option<Certificate>, Refusal> {
    let Some(der) = info.certificates.first() else { return Ok(None) };
    match Certificate::read(der) {
        Some(certificate) => Ok(Some(certificate)),
        None => Err(Refusal::unauthorized("the client certificate cannot be read here")),
    }
}

/// Lets in everyone who has shown a certificate, under any id, to send everything. Whose certificates those are, the
/// listener decides.
#[derive(Debug, Clone, Copy, Default)]
pub struct AnyCertificate;

#[async_trait]
impl Authorizer for AnyCertificate {
    async fn authorize(&self, _: &Hello, info: &ConnectInfo) -> Result<Principal, Refusal> {
        match shown(info)? {
            Some(certificate) if certificate.subject.is_empty() => {
                Ok(Principal::named(certificate.all_names().next().unwrap_or_default()))
            }
            Some(certificate) => Ok(Principal::named(certificate.subject)),
            None => Err(Refusal::unauthorized("a client certificate is required")),
        }
    }
}

/// As another authorizer, and no link outlives the certificate that it came with.
pub struct EndAtExpiry(pub Arc<dyn Authorizer>);

#[async_trait]
impl Authorizer for EndAtExpiry {
    async fn authorize(&self, hello: &Hello, info: &ConnectInfo) -> Result<Principal, Refusal> {
        let principal = self.0.authorize(hello, info).await?;
        Ok(match shown(info)? {
            Some(certificate) => principal.until(certificate.not_after),
            None => principal,
        })
    }
}
