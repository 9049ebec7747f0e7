//! What the two ends of a link say of themselves in the upgrade request and its answer. Pure.

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::Arc;

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request;
use slipstream_store::{ClusterGroup, InvalidId, PeerId, PeerKind, Tag};

use super::headers::{
    ACCEPT, ACK_BATCH, GROUP, ID, KIND, MAX_MESSAGE_BYTES, PEER_ID, PROTOCOL, RELAY, TAGS, checked, join,
};
use super::refusal::Refusal;
use super::secret::Secret;
use super::subprotocol::Named;

/// The version of the protocol that is spoken here.
const PROTOCOL_VERSION: &str = "1";

/// Most tags that a peer may carry.
const MAX_TAGS: usize = 64;

/// What a peer that asks for a link says of itself. Nothing of it is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Its id; `None` where it wishes to be anonymous.
    pub id: Option<PeerId>,
    /// Its tags, at most 64, in its order.
    pub tags: Arc<[Tag]>,
    /// Its cluster group.
    pub group: ClusterGroup,
    /// Application or relay.
    pub kind: PeerKind,
    /// Whether it takes one ACK for many messages.
    pub accepts_ack_batch: bool,
    /// Longest message that it takes, where it has a limit; at least 1.
    pub max_message_bytes: Option<u64>,
    /// Its bearer token, where it brought one.
    pub token: Option<Secret>,
}

impl Hello {
    /// Reads an upgrade request. The query wins over the headers.
    ///
    /// # Errors
    /// A 400 that names the field, what it was and what it should be.
    pub fn read(request: &request::Parts) -> Result<Self, Refusal> {
        let fields = Fields { query: request.uri.query().unwrap_or_default(), headers: &request.headers };
        let group = fields.read("clusterGroupId", &GROUP)?;
        Ok(Self {
            id: fields.read("id", &ID)?,
            tags: fields.one("tags", &TAGS)?.map_or(Ok(Arc::default()), |list| read_tags(&list))?,
            group: group.unwrap_or_default(),
            kind: read_kind(&request.headers)?,
            accepts_ack_batch: fields.ack_batch()?,
            max_message_bytes: fields.limit()?,
            token: bearer_token(&request.headers).or(Named::read(&request.headers)?.token),
        })
    }
}

/// Where the fields of a [`Hello`] stand.
struct Fields<'a> {
    query: &'a str,
    headers: &'a HeaderMap,
}

impl<'a> Fields<'a> {
    /// The value of a field that may stand once in the query, or else once in the headers.
    fn one(&self, query: &'static str, header: &HeaderName) -> Result<Option<Cow<'a, str>>, Refusal> {
        match self.in_query(query)? {
            Some(value) => Ok(Some(value)),
            None => Ok(one_header(self.headers, header)?.map(Cow::Borrowed)),
        }
    }

    /// The value of a field that may stand once in the query.
    fn in_query(&self, name: &'static str) -> Result<Option<Cow<'a, str>>, Refusal> {
        let mut given = form_urlencoded::parse(self.query.as_bytes()).filter(|(each, _)| each == name);
        let value = given.next().map(|(_, value)| value);
        match given.next() {
            None => Ok(value),
            Some(_) => Err(Refusal::bad_request(format!("{name}: given twice in the query"))),
        }
    }

    /// Whether the peer takes one ACK for many messages.
    fn ack_batch(&self) -> Result<bool, Refusal> {
        match self.in_query("ackBatch")?.as_deref() {
            None => Ok(accepts_ack_batch(self.headers)),
            Some("1") => Ok(true),
            Some("0") => Ok(false),
            Some(other) => Err(Refusal::bad_request(format!("ackBatch: expected 1 or 0, got {other:?}"))),
        }
    }

    /// Longest message that the peer takes.
    fn limit(&self) -> Result<Option<u64>, Refusal> {
        let name = "maxMessageBytes";
        match self.in_query(name)? {
            Some(text) => parse_limit(name, &text).map(Some),
            None => read_limit(self.headers),
        }
    }

    fn read<T>(&self, query: &'static str, header: &HeaderName) -> Result<Option<T>, Refusal>
    where
        T: FromStr<Err = InvalidId>,
    {
        self.one(query, header)?.map(|value| value.parse().map_err(|invalid| not_so(query, &invalid))).transpose()
    }
}

fn one_header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refusal::bad_request(format!("{name}: given twice")));
    }
    let text = value.to_str().map_err(|_| Refusal::bad_request(format!("{name}: expected visible ASCII characters")));
    text.map(|text| Some(text.trim()))
}

/// Reads a comma-separated list. An empty text is an empty list; an empty item is none.
fn read_tags(list: &str) -> Result<Arc<[Tag]>, Refusal> {
    if list.trim().is_empty() {
        return Ok(Arc::default());
    }
    let count = list.split(',').count();
    if count > MAX_TAGS {
        return Err(Refusal::bad_request(format!("tags: expected at most {MAX_TAGS}, got {count}")));
    }
    let tags = list.split(',').map(|item| Tag::new(item.trim()));
    tags.collect::<Result<_, _>>().map_err(|invalid| not_so("tags", &invalid))
}

fn not_so(field: &str, invalid: &InvalidId) -> Refusal {
    Refusal::bad_request(format!("{field}: {}", invalid.problem()))
}

fn read_kind(headers: &HeaderMap) -> Result<PeerKind, Refusal> {
    match one_header(headers, &KIND)? {
        None => Ok(PeerKind::Application),
        Some(RELAY) => Ok(PeerKind::Relay),
        Some(other) => Err(Refusal::bad_request(format!("{KIND}: expected {RELAY} or no such header, got {other:?}"))),
    }
}

fn accepts_ack_batch(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|list| list.split(',')).any(|item| item.trim() == ACK_BATCH)
}

fn read_limit(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    one_header(headers, &MAX_MESSAGE_BYTES)?.map(|text| parse_limit(MAX_MESSAGE_BYTES.as_str(), text)).transpose()
}

fn parse_limit(name: &str, text: &str) -> Result<u64, Refusal> {
    match text.parse() {
        Ok(limit) if limit > 0 => Ok(limit),
        _ => Err(Refusal::bad_request(format!("{name}: expected a number of bytes, got {text:?}"))),
    }
}

fn bearer_token(headers: &HeaderMap) -> Option<Secret> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Secret::new(token.trim().to_owned()))
}

/// What this relay says of itself when it grants a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// The id of this relay.
    pub relay_id: PeerId,
    /// Its tags.
    pub tags: Arc<[Tag]>,
    /// Its cluster group.
    pub group: ClusterGroup,
    /// The id that the peer has here.
    pub peer_id: PeerId,
    /// Longest message that this relay takes from the peer.
    pub max_message_bytes: u64,
}

impl Welcome {
    /// The headers of the 101 that say so.
    pub(crate) fn headers(&self) -> HeaderMap {
        HeaderMap::from_iter([
            (ID, checked(self.relay_id.as_str())),
            (TAGS, checked(&join(&self.tags))),
            (GROUP, checked(self.group.as_str())),
            (KIND, HeaderValue::from_static(RELAY)),
            (PROTOCOL, HeaderValue::from_static(PROTOCOL_VERSION)),
            (ACCEPT, HeaderValue::from_static(ACK_BATCH)),
            (MAX_MESSAGE_BYTES, HeaderValue::from(self.max_message_bytes)),
            (PEER_ID, checked(self.peer_id.as_str())),
        ])
    }
}

/// What a dialled server says of itself in its 101. An ordinary WebSocket server says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Announced {
    /// Its id.
    pub id: Option<PeerId>,
    /// Its tags.
    pub tags: Option<Arc<[Tag]>>,
    /// Its cluster group.
    pub group: Option<ClusterGroup>,
    /// Whether it is a relay.
    pub is_relay: bool,
    /// Whether it takes one ACK for many messages.
    pub accepts_ack_batch: bool,
    /// Longest message that it takes, where it has a limit.
    pub max_message_bytes: Option<u64>,
    /// The id that this end has there.
    pub peer_id: Option<PeerId>,
}

impl Announced {
    /// Reads the headers of a 101.
    ///
    /// # Errors
    /// One line that names the header that cannot be read.
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, String> {
        let fields = Fields { query: "", headers };
        let reason = |refusal: Refusal| refusal.reason().to_owned();
        let tags = one_header(headers, &TAGS).map_err(reason)?;
        Ok(Self {
            id: fields.read("id", &ID).map_err(reason)?,
            tags: tags.map(read_tags).transpose().map_err(reason)?,
            group: fields.read("clusterGroupId", &GROUP).map_err(reason)?,
            is_relay: read_kind(headers).map_err(reason)? == PeerKind::Relay,
            accepts_ack_batch: accepts_ack_batch(headers),
            max_message_bytes: read_limit(headers).map_err(reason)?,
            peer_id: fields.read("peer id", &PEER_ID).map_err(reason)?,
        })
    }
}
