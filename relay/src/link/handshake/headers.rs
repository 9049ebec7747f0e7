//! The headers in which the two ends of a link say what they are. Pure.

use hyper::header::{HeaderName, HeaderValue};
use slipstream_store::Tag;

pub(super) const ID: HeaderName = HeaderName::from_static("slipstream-id");
pub(super) const TAGS: HeaderName = HeaderName::from_static("slipstream-tags");
pub(super) const GROUP: HeaderName = HeaderName::from_static("slipstream-cluster-group");
pub(super) const KIND: HeaderName = HeaderName::from_static("slipstream-kind");
pub(super) const ACCEPT: HeaderName = HeaderName::from_static("slipstream-accept");
pub(super) const MAX_MESSAGE_BYTES: HeaderName = HeaderName::from_static("slipstream-max-message-bytes");
pub(super) const PROTOCOL: HeaderName = HeaderName::from_static("slipstream-protocol");
pub(super) const PEER_ID: HeaderName = HeaderName::from_static("slipstream-peer-id");

pub(super) const ACK_BATCH: &str = "ack-batch";
pub(super) const RELAY: &str = "relay";

/// Ids, tags and their lists only have characters that headers allow.
pub(super) fn checked(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

pub(super) fn join(tags: &[Tag]) -> String {
    tags.iter().map(Tag::as_str).collect::<Vec<_>>().join(",")
}
