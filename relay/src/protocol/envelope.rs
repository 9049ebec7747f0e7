//! A message that keeps all the rules, and what the relay needs to know of it.

use slipstream_store::{
    ClusterGroup, Fingerprint, Identity, Key, MessageId, MessageType, PeerId, PeerKind, Stamp, Tag, Timestamp,
};
use ulid::Ulid;

use super::fields::{Fault, Field, Fields, json, read};
use super::rejection::Rejection;
use super::trace::TraceContext;
use super::{path, stamp};

/// Most tags, and most instances, that a message may target.
const MAX_TARGETS: usize = 64;

/// Who sent a text, as far as its reading depends on that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// The sending peer's id.
    pub id: PeerId,
    /// Its cluster group, which counts for messages that name none.
    pub group: ClusterGroup,
    /// Only a relay's stamps and paths come from relays: an application's `relayStamp` is ignored.
    pub kind: PeerKind,
}

/// A valid message. What the relay does not need stays as it stands in the text.
#[derive(Debug)]
pub struct Envelope<'a> {
    pub(super) fields: Fields<'a>,
    pub(super) header: Header,
}

/// The part of a message that the relay itself uses.
#[derive(Debug)]
pub(super) struct Header {
    message_type: MessageType,
    key: Option<Key>,
    pub(super) identity: Identity,
    path: Vec<PeerId>,
    targeted_tags: Vec<Tag>,
    targeted_instances: Vec<PeerId>,
    expires_at: Option<Timestamp>,
    mandatory: bool,
    pub(super) stamp: Option<Stamp>,
}

impl<'a> Envelope<'a> {
    pub(super) fn read(
        fields: Fields<'a>,
        sender: &Sender,
        max_path: usize,
        assign: impl FnOnce() -> Ulid,
    ) -> Result<Self, Rejection> {
        match Header::read(&fields, sender, max_path, assign) {
            Ok(header) => Ok(Self { fields, header }),
            Err(fault) => Err(Rejection::of_message(fault, &fields, &sender.group)),
        }
    }

    /// The type: one of the protocol's own, or a custom one.
    #[must_use]
    pub fn message_type(&self) -> &MessageType {
        &self.header.message_type
    }

    /// The key that the message is about.
    #[must_use]
    pub fn key(&self) -> Option<&Key> {
        self.header.key.as_ref()
    }

    /// The cluster group and the message id, both filled in where the sender left them out.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.header.identity
    }

    /// The hash of type, key and value by which a repetition is told from another message under the same identity.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let Header { message_type, key, .. } = &self.header;
        let value = match wants(message_type.as_str()).value {
            // Here `null` is a value; elsewhere it means that there is none.
            Value::Any | Value::Array => self.fields.raw(Field::Value),
            Value::Optional => self.fields.get(Field::Value),
        };
        Fingerprint::of(message_type.as_str(), key.as_ref().map(Key::as_str), value.map(str::as_bytes))
    }

    /// The tags of which a recipient has at least one; empty means every peer. At most 64.
    #[must_use]
    pub fn targeted_tags(&self) -> &[Tag] {
        &self.header.targeted_tags
    }

    /// The only application peers that are recipients; empty means no such limit. At most 64.
    #[must_use]
    pub fn targeted_instances(&self) -> &[PeerId] {
        &self.header.targeted_instances
    }

    /// The path as it came. At most [`max_path`](super::max_path) hops.
    #[must_use]
    pub fn path(&self) -> &[PeerId] {
        &self.header.path
    }

    /// The path as it goes out: what came, then the sending peer unless it is last already, then this relay.
    #[must_use]
    pub fn outgoing_path(&self, sender: &PeerId, relay: &PeerId) -> Box<[PeerId]> {
        path::outgoing(self.path(), sender, relay)
    }

    /// When the deliveries of the message lose their point.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.header.expires_at
    }

    /// Whether the message is to be refused if no peer matches.
    #[must_use]
    pub fn is_mandatory(&self) -> bool {
        self.header.mandatory
    }

    /// The trace that the message belongs to, if it names one.
    #[must_use]
    pub fn trace_context(&self) -> Option<TraceContext> {
        TraceContext::read(&self.fields)
    }

    /// The stamp that the message came with from a relay; always `None` for a message from an application.
    #[must_use]
    pub fn stamp(&self) -> Option<Stamp> {
        self.header.stamp
    }
}

impl Header {
    fn read(
        fields: &Fields<'_>,
        sender: &Sender,
        max_path: usize,
        assign: impl FnOnce() -> Ulid,
    ) -> Result<Self, Fault> {
        fields.check_once()?;
        fields.check_depth()?;
        let message_type: MessageType =
            read::name(fields, Field::Type)?.ok_or_else(|| Fault::missing(Field::Type, "every message"))?;
        let key = read::name(fields, Field::Key)?;
        wants(message_type.as_str()).check(message_type.as_str(), key.as_ref(), fields.raw(Field::Value))?;
        let id = read::name(fields, Field::MessageId)?;
        let group = read::name(fields, Field::ClusterGroupId)?;
        read::name::<PeerId>(fields, Field::OriginInstanceId)?;
        reply_reference(fields)?;
        let header = Self {
            message_type,
            key,
            path: path::read(fields, max_path)?,
            targeted_tags: read::names(fields, Field::TargetedTags, MAX_TARGETS)?,
            targeted_instances: read::names(fields, Field::TargetedInstances, MAX_TARGETS)?,
            expires_at: read::time(fields, Field::ExpiresAt)?,
            mandatory: read::boolean(fields, Field::Mandatory)?.unwrap_or(false),
            stamp: match sender.kind {
                PeerKind::Relay => stamp::read(fields)?,
                PeerKind::Application => None,
            },
            identity: Identity {
                group: group.unwrap_or_else(|| sender.group.clone()),
                id: id.unwrap_or_else(|| MessageId::from(assign())),
            },
        };
        Ok(header)
    }
}

/// `inReplyTo` is any string at all: it means something only to whoever asked.
fn reply_reference(fields: &Fields<'_>) -> Result<(), Fault> {
    match fields.get(Field::InReplyTo) {
        Some(json) if !json.starts_with('"') => Err(Fault::expected(Field::InReplyTo, "a string", json)),
        _ => Ok(()),
    }
}

/// Whether messages of this type set the value of their key: SK, SA and SW. A newer one makes the older ones pointless.
#[must_use]
pub fn sets_a_key(message_type: &MessageType) -> bool {
    matches!(message_type.as_str(), "SK" | "SA" | "SW")
}

/// What a type wants besides its name.
struct Wants {
    key: bool,
    value: Value,
}

enum Value {
    Optional,
    Any,
    Array,
}

fn wants(message_type: &str) -> Wants {
    match message_type {
        "SK" => Wants { key: true, value: Value::Any },
        "SA" | "SW" => Wants { key: true, value: Value::Array },
        "GK" | "GA" | "GW" | "CMD" => Wants { key: true, value: Value::Optional },
        _ => Wants { key: false, value: Value::Optional },
    }
}

impl Wants {
    fn check(&self, message_type: &str, key: Option<&Key>, value: Option<&str>) -> Result<(), Fault> {
        if self.key && key.is_none() {
            return Err(Fault::missing(Field::Key, message_type));
        }
        match (&self.value, value) {
            (Value::Any | Value::Array, None) => Err(Fault::missing(Field::Value, message_type)),
            (Value::Array, Some(json)) if !json.starts_with('[') => {
                // Only the kind: what a message carries is for its recipients, not for reasons and logs.
                Err(Fault(format!("value: {message_type} wants an array, got {}", json::kind(json))))
            }
            _ => Ok(()),
        }
    }
}
