//! Why a text was not taken, and the codes by which programs tell the reasons apart.

use std::fmt;

use slipstream_store::{ClusterGroup, Identity, MessageId};

use super::fields::{Fault, Field, Fields, read};

/// The code of a NACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The text is not one JSON object.
    InvalidJson,
    /// A field is missing or breaks its rule.
    InvalidMessage,
    /// The identity was accepted for a different message.
    IdentityConflict,
    /// The peer's credential does not permit this type or these tags.
    NotAllowed,
    /// The message is `mandatory`, and no peer matches.
    Unrouted,
    /// The backlog limit of a routed peer is reached, and its policy is to reject.
    BacklogFull,
    /// The peer sends faster than it may.
    RateLimited,
    /// The store could not commit.
    StorageUnavailable,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 8] = [
        Self::InvalidJson,
        Self::InvalidMessage,
        Self::IdentityConflict,
        Self::NotAllowed,
        Self::Unrouted,
        Self::BacklogFull,
        Self::RateLimited,
        Self::StorageUnavailable,
    ];

    /// The code as it is on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::InvalidMessage => "invalid_message",
            Self::IdentityConflict => "identity_conflict",
            Self::NotAllowed => "not_allowed",
            Self::Unrouted => "unrouted",
            Self::BacklogFull => "backlog_full",
            Self::RateLimited => "rate_limited",
            Self::StorageUnavailable => "storage_unavailable",
        }
    }

    /// Whether the same message may be taken later. Otherwise it never will be.
    #[must_use]
    pub const fn retry_later(self) -> bool {
        matches!(self, Self::BacklogFull | Self::RateLimited | Self::StorageUnavailable)
    }

    /// The code that is written like this on the wire.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a text was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {reason}")]
pub struct Rejection {
    code: Code,
    reason: String,
    message_id: Option<MessageId>,
    group: ClusterGroup,
    answered: bool,
}

impl Rejection {
    /// The refusal of a message that could be read.
    #[must_use]
    pub fn of(code: Code, reason: impl Into<String>, identity: &Identity) -> Self {
        let Identity { group, id } = identity.clone();
        Self { code, reason: reason.into(), message_id: Some(id), group, answered: true }
    }

    /// The refusal of a text that is not one JSON object.
    pub(super) fn of_text(fault: Fault, sender: &ClusterGroup) -> Self {
        Self { code: Code::InvalidJson, reason: fault.0, message_id: None, group: sender.clone(), answered: true }
    }

    /// The refusal of a message that breaks a rule. It says of the identity what can be read.
    pub(super) fn of_message(fault: Fault, fields: &Fields<'_>, sender: &ClusterGroup) -> Self {
        let message_id = match fields.twice {
            Some(Field::MessageId) => None,
            _ => read::name(fields, Field::MessageId).ok().flatten(),
        };
        let group = match fields.twice {
            Some(Field::ClusterGroupId) => None,
            _ => read::name(fields, Field::ClusterGroupId).ok().flatten(),
        };
        Self {
            code: Code::InvalidMessage,
            reason: fault.0,
            message_id,
            group: group.unwrap_or_else(|| sender.clone()),
            answered: true,
        }
    }

    /// The refusal of an ACK or NACK.
    pub(super) fn of_answer(fault: Fault, fields: &Fields<'_>, sender: &ClusterGroup) -> Self {
        Self { answered: false, ..Self::of_message(fault, fields, sender) }
    }

    /// What is wrong, for programs.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// What is wrong, for people: the field, what was expected, and a short part of what came.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The id of the message, where one could be read.
    #[must_use]
    pub fn message_id(&self) -> Option<&MessageId> {
        self.message_id.as_ref()
    }

    /// The cluster group of the message, or the sender's where none could be read.
    #[must_use]
    pub fn group(&self) -> &ClusterGroup {
        &self.group
    }

    /// Whether the sender is told with a NACK. An ACK or NACK that cannot be read is not answered, so that two
    /// programs never answer each other without end.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.answered
    }
}
