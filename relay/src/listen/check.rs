//! The credential of a peer: who checks it, and how long a wrong one makes the next from the same address wait.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use tokio::time::{Instant, sleep};

use super::authorizer::{Authorizer, Principal};
use super::limits::ListenLimits;
use super::listener::ConnectInfo;
use super::source::{Failures, Source};
use crate::link::{Hello, Refusal};

/// Has credentials checked.
pub(super) struct Check {
    authorizer: Arc<dyn Authorizer>,
    failures: Failures,
}

impl Check {
    pub(super) fn new(authorizer: Arc<dyn Authorizer>, limits: &ListenLimits) -> Self {
        let failures = Failures::new(limits.failures, limits.handshake_timeout);
        Self { authorizer, failures }
    }

    /// Returns who the peer is. Whoever brings no credential does not wait, since there is nothing to guess with.
    pub(super) async fn authorize(&self, hello: &Hello, info: &ConnectInfo) -> Result<Principal, Refusal> {
        if hello.token.is_none() && info.certificates.is_empty() {
            return self.authorizer.authorize(hello, info).await.map_err(|refusal| counted(refusal, "no_credential"));
        }
        let source = Source::of(info.remote.ip());
        let Some(attempt) = self.failures.attempt(source, hello.id.as_ref(), Instant::now()) else {
            return Err(Refusal::too_many(format!("too many credentials from {source} have failed"))
                .counted_as("credentials_slowed"));
        };
        if attempt.wait() > Duration::ZERO {
            sleep(attempt.wait()).await;
        }
        let authorized = self.authorizer.authorize(hello, info).await;
        match &authorized {
            Ok(_) => attempt.succeeded(),
            Err(refusal) if refusal.status() == StatusCode::UNAUTHORIZED => {
                attempt.failed(Instant::now());
            }
            Err(_) => {}
        }
        authorized.map_err(|refusal| counted(refusal, "wrong_credential"))
    }
}

/// The same refusal, which counts under this reason if it is about the credential.
fn counted(refusal: Refusal, reason: &'static str) -> Refusal {
    if refusal.status() == StatusCode::UNAUTHORIZED { refusal.counted_as(reason) } else { refusal }
}
