//! What applications say to each other: messages as they are sent, and as they come.

use serde_json::{Map, Value, json};
use slipstream::store::{ClusterGroup, Identity, Key, MessageId, MessageType, PeerId, Tag, Timestamp};

/// A message that an application sends, until it is confirmed.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) identity: Identity,
    pub(crate) origin: PeerId,
    pub(crate) message_type: MessageType,
    pub(crate) key: Option<Key>,
    pub(crate) value: Value,
    pub(crate) tags: Vec<Tag>,
    pub(crate) instances: Vec<PeerId>,
    pub(crate) expires_at: Option<Timestamp>,
}

impl Sent {
    /// The identity of an application's message with this number.
    pub(crate) fn identity(origin: &PeerId, number: u64) -> Identity {
        let id = MessageId::new(format!("{origin}#{number}")).expect("a valid message id");
        Identity { group: ClusterGroup::singleton(), id }
    }

    /// The key that the message sets, if it sets one.
    pub(crate) fn sets(&self) -> Option<&Key> {
        self.key.as_ref().filter(|_| self.message_type.sets_state())
    }

    pub(crate) fn text(&self) -> String {
        let mut fields = Map::new();
        let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        set("type", json!(self.message_type.as_str()));
        set("messageId", json!(self.identity.id.as_str()));
        set("value", self.value.clone());
        if let Some(key) = &self.key {
            set("key", json!(key.as_str()));
        }
        if !self.tags.is_empty() {
            set("targetedTags", self.tags.iter().map(|tag| json!(tag.as_str())).collect());
        }
        if !self.instances.is_empty() {
            set("targetedInstances", self.instances.iter().map(|id| json!(id.as_str())).collect());
        }
        if let Some(at) = self.expires_at {
            set("expiresAt", json!(at.as_millis()));
        }
        Value::Object(fields).to_string()
    }
}

/// What comes from a relay.
#[derive(Debug, Clone)]
pub(crate) enum Incoming {
    Message(Delivered),
    Confirmed(Vec<Identity>),
    Refused { id: Option<String>, code: String },
}

/// A message as it is delivered.
#[derive(Debug, Clone)]
pub(crate) struct Delivered {
    pub(crate) identity: Identity,
    pub(crate) message_type: String,
    pub(crate) key: Option<String>,
    pub(crate) value: Value,
    pub(crate) origin: String,
    pub(crate) source: String,
    pub(crate) path: Vec<String>,
}

impl Incoming {
    /// Reads a text of the relay; in words what is wrong with it.
    pub(crate) fn read(text: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let field = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let need = |name: &str| field(name).ok_or_else(|| format!("{name} is missing"));
        let group = || ClusterGroup::new(need("clusterGroupId")?).map_err(|error| error.to_string());
        let identity = |id: &str| {
            let id = MessageId::new(id).map_err(|error| error.to_string())?;
            Ok::<_, String>(Identity { group: group()?, id })
        };
        match need("type")?.as_str() {
            "ACK" => {
                let many = value.get("messageIds").and_then(Value::as_array);
                let many = many.into_iter().flatten().filter_map(Value::as_str);
                let one = field("messageId");
                many.chain(one.as_deref()).map(identity).collect::<Result<_, _>>().map(Self::Confirmed)
            }
            "NACK" => Ok(Self::Refused { id: field("messageId"), code: need("code")? }),
            message_type => {
                let path = value.get("messagePath").and_then(Value::as_array).ok_or("messagePath is missing")?;
                Ok(Self::Message(Delivered {
                    identity: identity(&need("messageId")?)?,
                    message_type: message_type.to_owned(),
                    key: field("key"),
                    value: value.get("value").cloned().unwrap_or_default(),
                    origin: need("originInstanceId")?,
                    source: need("sourceInstanceId")?,
                    path: path.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                }))
            }
        }
    }
}
