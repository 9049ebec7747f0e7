//! Where the admin port of a relay is, and why it was asked in vain.

use std::fmt;

use crate::config::discreet_url;
use crate::http;
use crate::link::{Secret, Target};
use crate::tls::ClientTls;

/// Why a relay did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The URL cannot be that of an admin port.
    #[error("got {url:?}, expected {expected}")]
    Url {
        /// What was given, without what may be secret.
        url: String,
        /// What was expected.
        expected: &'static str,
    },
    /// It did not answer, or not as a relay does.
    #[error("{url}: {problem}")]
    NoAnswer {
        /// What was asked.
        url: String,
        /// What came of it.
        problem: String,
    },
    /// It refused.
    #[error("{url}: the relay refuses ({status}): {message}")]
    Refused {
        /// What was asked.
        url: String,
        /// The status of its answer.
        status: u16,
        /// Why.
        message: String,
    },
    /// It tried, and failed.
    #[error("the relay's backup failed: {0}")]
    Failed(String),
}

/// The admin port of a relay, `http://HOST:PORT` or `https://HOST:PORT`, and the certificates for the latter.
#[derive(Debug, Clone)]
pub struct AdminUrl {
    url: String,
    tls: ClientTls,
    pub(super) token: Option<Secret>,
}

impl AdminUrl {
    /// Whatever is given, and the token that it is shown; that it can be an admin port is found out when it is asked.
    #[must_use]
    pub fn new(url: impl Into<String>, tls: ClientTls, token: Option<Secret>) -> Self {
        Self { url: url.into(), tls, token }
    }

    /// The URL, without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.url.trim_end_matches('/')
    }

    /// The same, if it can be an admin port.
    ///
    /// # Errors
    /// [`ClientError::Url`].
    pub(crate) fn checked(self) -> Result<Self, ClientError> {
        self.target().map(|_| self)
    }

    /// Where it leads, and the path before those of the admin port.
    ///
    /// # Errors
    /// [`ClientError::Url`].
    pub(super) fn target(&self) -> Result<(Target, String), ClientError> {
        let refuse = |expected| ClientError::Url { url: discreet_url(&self.url), expected };
        let target = http::target(&self.url).map_err(refuse)?;
        let path = target.path.trim_end_matches('/').to_owned();
        Ok((target.secured_with(self.tls.clone()), path))
    }
}

/// The URL alone.
impl fmt::Display for AdminUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_cannot_be_one_is_refused_without_its_secrets() {
        let target = |url: &str| AdminUrl::new(url, ClientTls::default(), None).target();
        for url in
            ["http://127.0.0.1:8080", "HTTP://relay/", "http://[::1]:8080/", "http://proxy/relay-a", "https://relay"]
        {
            assert!(target(url).is_ok(), "{url}");
        }
        for (url, expected) in [
            ("", "begins with http://"),
            ("127.0.0.1:8080", "begins with http://"),
            ("relay", "begins with http://"),
            ("ws://relay:7171/", "begins with http://"),
            ("http://:8080", "expected"),
            ("http://relay:0", "port"),
            ("http://relay:99999", "port"),
            ("http://relay:", "port"),
            ("http://me:hush@relay/", "user name"),
            ("http://relay/?token=hush", "query"),
            ("http://re lay/", "like http://"),
        ] {
            let told = target(url).expect_err(url).to_string();
            assert!(told.contains(expected) && !told.contains("hush"), "{url}: {told}");
        }
    }
}
