//! The HTTP exchange that begins a link (RFC 6455, section 4), both sides.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::{request, response};
use hyper::{Method, Request, StatusCode, Version};
use hyper_util::rt::TokioIo;
use sha1::{Digest as _, Sha1};
use slipstream_store::{ClusterGroup, PeerId, Tag, Timestamp};

use super::headers::{self, checked, join};
use super::hello::{Announced, Welcome};
use super::refusal::Refusal;
use super::secret::Secret;
use super::subprotocol::Named;
use crate::link::shown::Shown;
use crate::link::stream::{Socket, Stream};
use crate::tls::TlsFault;

const WEBSOCKET: &str = "websocket";
const UPGRADE: &str = "upgrade";
const VERSION: &str = "13";

/// Most bytes of a refusal's text that are shown.
const MAX_REASON_BYTES: usize = 1024;

/// Most bytes of an answer's head.
const MAX_ANSWER_BYTES: usize = 32 << 10;

/// The `Sec-WebSocket-Accept` that answers a `Sec-WebSocket-Key`.
fn accept_key(key: &[u8]) -> String {
    let digest = Sha1::new().chain_update(key).chain_update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(digest.finalize())
}

/// Whether a comma-separated header has this item, in whatever case.
fn has_item(headers: &HeaderMap, name: &HeaderName, item: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|list| list.split(',')).any(|got| got.trim().eq_ignore_ascii_case(item))
}

/// An upgrade request that can be granted.
#[derive(Debug)]
pub(crate) struct Upgrade {
    accept: String,
    subprotocol: Option<&'static str>,
}

/// Checks that a request asks for a WebSocket.
///
/// # Errors
/// 405 or 426 where it does not, 400 where it does so wrongly or names a subprotocol that is not spoken here.
pub(crate) fn accept(request: &request::Parts) -> Result<Upgrade, Refusal> {
    let headers = &request.headers;
    let asks = has_item(headers, &header::UPGRADE, WEBSOCKET) && has_item(headers, &header::CONNECTION, UPGRADE);
    if request.method != Method::GET {
        return Err(Refusal::not_a_get());
    }
    if !asks || request.version != Version::HTTP_11 {
        return Err(Refusal::upgrade_required("this is a WebSocket endpoint: expected an HTTP/1.1 upgrade request"));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != VERSION) {
        return Err(Refusal::upgrade_required("Sec-WebSocket-Version: expected 13"));
    }
    // A body would be taken for the first frames.
    let has_body = headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    if has_body {
        return Err(Refusal::bad_request("an upgrade request has no body"));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    if STANDARD.decode(key).map_or(0, |nonce| nonce.len()) != 16 {
        return Err(Refusal::bad_request("Sec-WebSocket-Key: expected 16 bytes in base64"));
    }
    Ok(Upgrade { accept: accept_key(key), subprotocol: Named::read(headers)?.chosen })
}

impl Upgrade {
    /// The 101 that grants the link, as it goes over the wire.
    ///
    /// It is written here and not by the HTTP server, which adds `close` to `Connection` where the request holds it.
    /// Clients that send both (tcllib, lighttpd) take such an answer for none.
    pub(crate) fn response(&self, welcome: &Welcome) -> Vec<u8> {
        let mut head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {WEBSOCKET}\r\nSec-WebSocket-Accept: {}\r\n",
            self.accept
        )
        .into_bytes();
        let subprotocol = self.subprotocol.map(|name| ("Sec-WebSocket-Protocol", HeaderValue::from_static(name)));
        let welcome = welcome.headers();
        let welcome = welcome.iter().map(|(name, value)| (name.as_str(), value.clone()));
        for (name, value) in subprotocol.into_iter().chain(welcome) {
            for part in [name.as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                head.extend_from_slice(part);
            }
        }
        head.extend_from_slice(b"\r\n");
        head
    }
}

/// What an end that dials says of itself.
#[derive(Debug, Clone, Default)]
pub struct Offer {
    /// Its id; without one it is anonymous.
    pub id: Option<PeerId>,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// Its cluster group.
    pub group: Option<ClusterGroup>,
    /// Whether it is a relay.
    pub as_relay: bool,
    /// Whether it takes one ACK for many messages.
    pub ack_batch: bool,
    /// Longest message that it takes, where it has a limit.
    pub max_message_bytes: Option<u64>,
    /// Its credential.
    pub token: Option<Secret>,
}

/// Why a dialled server granted no link.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The server refused. Try again later where the status is 503; otherwise something must be changed first.
    #[error("{} {status}: {reason}", if status.is_success() { NO_WEBSOCKET } else { REFUSED })]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// Its text on one line, cut where it is long.
        reason: String,
        /// What its `Retry-After` says.
        retry_after: Option<RetryAfter>,
        /// The id of the server, where it tells that with its refusal.
        server: Option<PeerId>,
    },
    /// The answer is no WebSocket handshake, or breaks its rules.
    #[error("the server's answer to the upgrade request: {0}")]
    Answer(String),
    /// Something of ours cannot be said in HTTP.
    #[error("the upgrade request: {0}")]
    Request(String),
    /// The server hung up before it answered.
    #[error("the server hung up before it answered{}", if *doubted { DOUBTED } else { "" })]
    HungUp {
        /// Whether that may be for a certificate of this end, which it was shown.
        doubted: bool,
    },
    /// The stream failed, or the answer was no HTTP.
    #[error("the upgrade request failed: {}", cause(.0))]
    Http(hyper::Error),
}

const REFUSED: &str = "the server refused with";
const NO_WEBSOCKET: &str = "there is no WebSocket server at this URL: the answer was";
const DOUBTED: &str = ", as some do that do not take the certificate of this end";

impl From<hyper::Error> for HandshakeError {
    fn from(error: hyper::Error) -> Self {
        if is_leave(&error) { Self::HungUp { doubted: false } } else { Self::Http(error) }
    }
}

impl HandshakeError {
    /// Whether the far end has ended TLS, or did not keep to it.
    pub(crate) fn is_of_tls(&self) -> bool {
        let Self::Http(error) = self else { return false };
        behind(error).is_some_and(|error| TlsFault::of(error).is_some())
    }
}

/// The error of the stream that lies behind one of HTTP.
fn behind(error: &hyper::Error) -> Option<&io::Error> {
    error.source()?.downcast_ref()
}

/// What lies behind an error of HTTP, such as the reason for which the far end has ended TLS.
fn cause(error: &hyper::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(behind) = cause.source() {
        cause = behind;
    }
    if error.is_parse() { format!("the answer is no HTTP ({cause})") } else { cause.to_string() }
}

/// Whether the far end has left, with or without a word to TCP.
fn is_leave(error: &hyper::Error) -> bool {
    let is_cut = |io: &io::Error| matches!(io.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe);
    error.is_incomplete_message() || behind(error).is_some_and(is_cut)
}

/// When a server that refused wants to be asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// After so long.
    In(Duration),
    /// At this time, by its clock.
    At(Timestamp),
}

impl RetryAfter {
    /// Reads the value of the header: a number of seconds, or a date as HTTP writes them.
    fn read(value: &HeaderValue) -> Option<Self> {
        let value = value.to_str().ok()?;
        if let Ok(seconds) = value.parse() {
            return Some(Self::In(Duration::from_secs(seconds)));
        }
        let date = httpdate::parse_http_date(value).ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(Self::At(Timestamp::from_millis(u64::try_from(date.as_millis()).ok()?)))
    }

    /// How long that is from `now` on.
    #[must_use]
    pub fn pause(self, now: Timestamp) -> Duration {
        match self {
            Self::In(pause) => pause,
            Self::At(time) => Duration::from_millis(time.as_millis().saturating_sub(now.as_millis())),
        }
    }
}

impl Offer {
    fn request(&self, host: &str, target: &str, key: &str) -> Result<Request<Empty<Bytes>>, HandshakeError> {
        let fault = |error: &dyn fmt::Display| HandshakeError::Request(error.to_string());
        let mut request = Request::get(target)
            .header(header::HOST, host)
            .header(header::CONNECTION, UPGRADE)
            .header(header::UPGRADE, WEBSOCKET)
            .header(header::SEC_WEBSOCKET_VERSION, VERSION)
            .header(header::SEC_WEBSOCKET_KEY, key)
            .body(Empty::new())
            .map_err(|error| fault(&error))?;
        let headers = request.headers_mut();
        let mut set = |name, value: Option<HeaderValue>| value.map(|value| headers.insert(name, value));
        set(headers::ID, self.id.as_ref().map(|id| checked(id.as_str())));
        set(headers::TAGS, (!self.tags.is_empty()).then(|| checked(&join(&self.tags))));
        set(headers::GROUP, self.group.as_ref().map(|group| checked(group.as_str())));
        set(headers::KIND, self.as_relay.then(|| HeaderValue::from_static(headers::RELAY)));
        set(headers::ACCEPT, self.ack_batch.then(|| HeaderValue::from_static(headers::ACK_BATCH)));
        set(headers::MAX_MESSAGE_BYTES, self.max_message_bytes.map(HeaderValue::from));
        if let Some(token) = &self.token {
            let text = format!("Bearer {}", token.expose());
            let mut value =
                HeaderValue::from_str(&text).map_err(|_| fault(&"the token has characters that are not ASCII"))?;
            value.set_sensitive(true);
            set(header::AUTHORIZATION, Some(value));
        }
        Ok(request)
    }
}

/// Asks the server at the other end of a stream for a link. `host` goes into the `Host` header, `target` is path and
/// query. There is no timeout here.
///
/// # Errors
/// [`HandshakeError`]; the stream is gone then.
///
/// # Cancellation
/// Dropping the future drops the stream.
pub async fn offer(
    stream: Box<dyn Stream>,
    host: &str,
    target: &str,
    offer: &Offer,
) -> Result<(Socket, Announced), HandshakeError> {
    let key = fastwebsockets::handshake::generate_key();
    let request = offer.request(host, target, &key)?;
    let shown = Shown::of(target, offer.token.as_ref());
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(MAX_ANSWER_BYTES).handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await?;
    let answer = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            granted(&head, &key)
        } else {
            Err(refused(&head, body, &shown).await)
        }
    };
    // The connection gives the stream back once it has handed out the 101.
    let back = async { connection.without_shutdown().await.map_err(HandshakeError::from) };
    let (announced, parts) = tokio::try_join!(answer, back)?;
    Ok((Socket::with_ahead(parts.io.into_inner(), &parts.read_buf).with_shown(shown), announced))
}

fn granted(head: &response::Parts, key: &str) -> Result<Announced, HandshakeError> {
    let fault = |what: &str| Err(HandshakeError::Answer(what.to_owned()));
    let headers = &head.headers;
    if !has_item(headers, &header::UPGRADE, WEBSOCKET) || !has_item(headers, &header::CONNECTION, UPGRADE) {
        return fault("it upgrades to something else than a WebSocket");
    }
    if headers.get(header::SEC_WEBSOCKET_ACCEPT).is_none_or(|got| *got != accept_key(key.as_bytes())) {
        return fault("Sec-WebSocket-Accept does not fit the key that was sent");
    }
    if headers.contains_key(header::SEC_WEBSOCKET_EXTENSIONS) || headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL) {
        return fault("it names an extension or subprotocol that was not asked for");
    }
    Announced::read(headers).map_err(HandshakeError::Answer)
}

async fn refused(head: &response::Parts, body: Incoming, shown: &Shown) -> HandshakeError {
    HandshakeError::Refused {
        status: head.status,
        reason: shown.hidden_in(reason(body).await),
        retry_after: head.headers.get(header::RETRY_AFTER).and_then(RetryAfter::read),
        server: head.headers.get(headers::ID).and_then(|id| PeerId::new(id.to_str().ok()?).ok()),
    }
}

/// The beginning of a refusal's text, as far as it comes. No more of it is read.
async fn reason(mut body: Incoming) -> String {
    let mut text = Vec::new();
    while text.len() <= MAX_REASON_BYTES
        && let Some(Ok(frame)) = body.frame().await
    {
        if let Some(data) = frame.data_ref() {
            text.extend_from_slice(&data[..data.len().min(MAX_REASON_BYTES + 1 - text.len())]);
        }
    }
    let more = if text.len() > MAX_REASON_BYTES { "…" } else { "" };
    text.truncate(MAX_REASON_BYTES);
    let text = String::from_utf8_lossy(&text);
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    words.join(" ") + more
}
