//! The fields that the protocol knows.

/// A field that the protocol knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::protocol) enum Field {
    Type,
    Key,
    Value,
    MessageId,
    OriginInstanceId,
    SourceInstanceId,
    MessagePath,
    TargetedTags,
    TargetedInstances,
    ClusterGroupId,
    ExpiresAt,
    Mandatory,
    InReplyTo,
    RelayStamp,
    /// Read, and passed on like an unknown one.
    Traceparent,
    /// Of an ACK. In a message it is a field like any unknown one, and so are the next two.
    MessageIds,
    /// Of a NACK.
    Code,
    /// Of a NACK.
    Reason,
}

impl Field {
    pub(super) const COUNT: usize = Self::Reason as usize + 1;

    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "type" => Self::Type,
            "key" => Self::Key,
            "value" => Self::Value,
            "messageId" => Self::MessageId,
            "originInstanceId" => Self::OriginInstanceId,
            "sourceInstanceId" => Self::SourceInstanceId,
            "messagePath" => Self::MessagePath,
            "targetedTags" => Self::TargetedTags,
            "targetedInstances" => Self::TargetedInstances,
            "clusterGroupId" => Self::ClusterGroupId,
            "expiresAt" => Self::ExpiresAt,
            "mandatory" => Self::Mandatory,
            "inReplyTo" => Self::InReplyTo,
            "relayStamp" => Self::RelayStamp,
            "traceparent" => Self::Traceparent,
            "messageIds" => Self::MessageIds,
            "code" => Self::Code,
            "reason" => Self::Reason,
            _ => return None,
        })
    }

    pub(in crate::protocol) const fn name(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Key => "key",
            Self::Value => "value",
            Self::MessageId => "messageId",
            Self::OriginInstanceId => "originInstanceId",
            Self::SourceInstanceId => "sourceInstanceId",
            Self::MessagePath => "messagePath",
            Self::TargetedTags => "targetedTags",
            Self::TargetedInstances => "targetedInstances",
            Self::ClusterGroupId => "clusterGroupId",
            Self::ExpiresAt => "expiresAt",
            Self::Mandatory => "mandatory",
            Self::InReplyTo => "inReplyTo",
            Self::RelayStamp => "relayStamp",
            Self::Traceparent => "traceparent",
            Self::MessageIds => "messageIds",
            Self::Code => "code",
            Self::Reason => "reason",
        }
    }

    /// Whether the field is in the table of the envelope, and so may stand only once.
    pub(super) const fn is_of_the_envelope(self) -> bool {
        !matches!(self, Self::Traceparent | Self::MessageIds | Self::Code | Self::Reason)
    }
}
