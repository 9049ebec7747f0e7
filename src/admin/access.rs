//! Who may use the API: what a caller must bring, what that lets it do, and that no web page of another site does it
//! through a browser.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, ORIGIN};
use hyper::http::uri::Authority;

use super::error::ApiError;
use crate::link::Secret;
use crate::listen::TokenHash;
use crate::logging::AUDIT_TARGET;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Who may use the API. The metrics and the health pages are for everyone who reaches the port.
#[derive(Debug, Clone)]
pub enum ApiAccess {
    /// Whoever runs a program on this machine: the port is on loopback.
    Machine,
    /// Whoever reaches the port.
    Anyone,
    /// Nobody: the port is beyond loopback, and nothing asks who calls.
    Nobody,
    /// Whoever brings a token.
    Tokens(Arc<AdminTokens>),
}

/// The tokens of the API, as their hashes.
#[derive(Debug)]
pub struct AdminTokens {
    act: TokenHash,
    read: Option<TokenHash>,
}

impl AdminTokens {
    /// `act` lets do everything, `read` only look.
    #[must_use]
    pub fn new(act: &Secret, read: Option<&Secret>) -> Self {
        let hash = |token: &Secret| TokenHash::of(token.expose());
        Self { act: hash(act), read: read.map(hash) }
    }
}

/// What a request wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    Read,
    Act,
}

/// Who called, for the audit log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    pub(super) who: &'static str,
    pub(super) remote: Option<SocketAddr>,
}

impl Caller {
    /// Writes the one line of an action that was done, or was tried: what, to what, and what came of it.
    pub(super) fn acted(&self, action: &str, what: &dyn fmt::Display, outcome: &dyn fmt::Display) {
        let Self { who, remote } = self;
        let remote = remote.map(|remote| remote.ip().to_canonical().to_string());
        let (what, outcome) = (what.to_string(), outcome.to_string());
        tracing::info!(target: AUDIT_TARGET, action, what, outcome, who, remote);
    }
}

impl ApiAccess {
    /// Looks at who asks. A browser says itself which site a page is from that asks.
    pub(super) fn check(&self, headers: &HeaderMap, right: Right) -> Result<&'static str, ApiError> {
        if matches!(self, Self::Nobody) {
            return Err(forbidden(
                "METRICS_HOST is beyond loopback and nothing asks who calls, so the API is closed; SLIPSTREAM_ADMIN_TOKEN \
                 opens it to whoever brings that token, and SLIPSTREAM_ALLOW_INSECURE=true to everyone",
            ));
        }
        // A page whose name was made to lead to this machine looks like its own site to the browser.
        if matches!(self, Self::Machine) && !host(headers)?.is_none_or(|host| is_here(host.host())) {
            return Err(cross_site("expected a Host that is localhost or an address"));
        }
        let site = text(headers, &SEC_FETCH_SITE)?;
        if !matches!(site, None | Some("same-origin" | "none"))
            || !is_own(text(headers, &ORIGIN)?, host(headers)?.as_ref())
        {
            return Err(cross_site("a page of another site may not use the API"));
        }
        match self {
            Self::Tokens(tokens) => tokens.check(bearer(headers), right),
            Self::Machine => Ok("this machine"),
            _ => Ok("anyone"),
        }
    }
}

impl AdminTokens {
    fn check(&self, token: Option<&str>, right: Right) -> Result<&'static str, ApiError> {
        let unauthorized = |message| ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", message);
        let Some(token) = token else {
            return Err(unauthorized("expected the header Authorization: Bearer TOKEN with an admin token"));
        };
        let hash = TokenHash::of(token);
        match right {
            // Both are compared in constant time.
            _ if hash == self.act => Ok("admin token"),
            _ if self.read != Some(hash) => Err(unauthorized("the token is none of this relay's admin tokens")),
            Right::Read => Ok("read token"),
            Right::Act => Err(forbidden("this token lets read, not act; expected SLIPSTREAM_ADMIN_TOKEN's")),
        }
    }
}

fn forbidden(message: &str) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "forbidden", message)
}

fn cross_site(message: &str) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "cross_site", message)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, ApiError> {
    let value = headers.get(name).map(|value| value.to_str()).transpose();
    value.map_err(|_| cross_site("expected headers of visible ASCII characters"))
}

fn host(headers: &HeaderMap) -> Result<Option<Authority>, ApiError> {
    let host = text(headers, &HOST)?.map(str::parse).transpose();
    host.map_err(|_| cross_site("expected a Host that is a name or an address, and a port"))
}

/// Whether a host cannot be a name that somebody else gives to this machine.
fn is_here(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().is_ok() || host.eq_ignore_ascii_case("localhost")
}

/// Whether the origin of a page, if it is one, is what it asks.
fn is_own(origin: Option<&str>, host: Option<&Authority>) -> bool {
    let Some(origin) = origin else { return true };
    let place = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    // Authorities compare without regard to case.
    place.and_then(|place| place.parse().ok()).is_some_and(|place: Authority| Some(&place) == host)
}
