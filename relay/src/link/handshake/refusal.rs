//! Why a peer gets no link, as HTTP says it.

use std::fmt;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderValue};
use slipstream_store::PeerId;

use super::headers;

/// Ends a reason that was cut.
const MORE: &str = "…";

/// The answer to an upgrade request that is not granted: a status and one line of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    status: StatusCode,
    reason: String,
    retry_after: Option<Duration>,
    /// The relay that refuses, where the peer is to know.
    relay: Option<PeerId>,
    /// What it counts as.
    counted_as: &'static str,
}

impl Refusal {
    /// When a peer may try again that came at a bad moment.
    const RETRY_AFTER: Duration = Duration::from_secs(5);

    /// What a refusal counts as that has no reason of its own.
    pub(crate) const COUNTED_AS: &str = "refused";

    /// Longest reason, in bytes; the rest is cut off. It mostly repeats what the peer has sent, and is logged.
    pub const MAX_REASON: usize = 512;

    fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        if reason.len() > Self::MAX_REASON {
            reason.truncate(reason.floor_char_boundary(Self::MAX_REASON - MORE.len()));
            reason.push_str(MORE);
        }
        if reason.contains(char::is_control) {
            reason = reason.replace(char::is_control, " ");
        }
        Self { status, reason, retry_after: None, relay: None, counted_as: Self::COUNTED_AS }
    }

    /// The same, which counts under a reason of its own in `slipstream_connection_errors_total`.
    pub(crate) fn counted_as(self, reason: &'static str) -> Self {
        Self { counted_as: reason, ..self }
    }

    /// 400: what the peer says of itself breaks a rule.
    pub fn bad_request(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    /// 400: the peer has named the id of this relay. It is told so, so that a relay that dials itself knows it.
    pub fn own_id(relay: &PeerId) -> Self {
        Self { relay: Some(relay.clone()), ..Self::bad_request(format!("id: {relay} is this relay's own")) }
    }

    /// 401: the credential is missing or wrong.
    pub fn unauthorized(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, reason)
    }

    /// 403: the credential does not permit what the peer asks for.
    pub fn forbidden(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, reason).counted_as("forbidden")
    }

    /// 404: nothing lives on this path.
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "links begin at the path /")
    }

    /// 405: an upgrade request is a GET.
    pub(super) fn not_a_get() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "an upgrade request is a GET")
    }

    /// 426: the request is none for WebSocket version 13.
    pub(super) fn upgrade_required(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::UPGRADE_REQUIRED, reason)
    }

    /// 429: the peer, or others at its address, have asked for too much; it may try again a little later.
    pub fn too_many(reason: impl Into<String>) -> Self {
        Self { retry_after: Some(Self::RETRY_AFTER), ..Self::new(StatusCode::TOO_MANY_REQUESTS, reason) }
    }

    /// 503: not at the moment; the peer may try again a little later.
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self { retry_after: Some(Self::RETRY_AFTER), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, reason) }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Why, in one line without control characters.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The reason under which it counts.
    pub(crate) fn reason_counted(&self) -> &'static str {
        self.counted_as
    }

    /// The whole answer as it goes over the wire, for a connection that no HTTP server serves yet.
    pub(crate) fn response(&self) -> Vec<u8> {
        let body = format!("{}\n", self.reason);
        let reason = self.status.canonical_reason().unwrap_or_default();
        let mut response = format!("HTTP/1.1 {} {reason}\r\n", self.status.as_u16()).into_bytes();
        for (name, value) in &self.headers() {
            response.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        response.extend(format!("Content-Length: {}\r\n\r\n{body}", body.len()).bytes());
        response
    }

    /// The headers that the status calls for, and the end of the connection.
    pub(crate) fn headers(&self) -> HeaderMap {
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        let mut headers = HeaderMap::from_iter([(header::CONTENT_TYPE, text)]);
        let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
        set(header::CONNECTION, "close");
        match self.status {
            StatusCode::UNAUTHORIZED => set(header::WWW_AUTHENTICATE, "Bearer"),
            StatusCode::METHOD_NOT_ALLOWED => set(header::ALLOW, "GET"),
            StatusCode::UPGRADE_REQUIRED => {
                set(header::UPGRADE, "websocket");
                set(header::CONNECTION, "upgrade, close");
                set(header::SEC_WEBSOCKET_VERSION, "13")
            }
            _ => None,
        };
        if let Some(pause) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(pause.as_secs()));
        }
        if let Some(relay) = &self.relay {
            headers.insert(headers::ID, headers::checked(relay.as_str()));
        }
        headers
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status.as_u16(), self.reason)
    }
}
