//! A message that owns what it holds: on its way from a dead letter, a shortened pack or a store of version 1 into a pack.

use crate::rows::table::MessageRow;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnedMessage {
    pub(crate) sequence: u64,
    group: String,
    id: String,
    message_type: String,
    key: Option<String>,
    pub(crate) expires_at: Option<u64>,
    pub(crate) received_at: u64,
    received_from: String,
    path: String,
    text: Vec<u8>,
}

impl OwnedMessage {
    pub(crate) fn new(row: &MessageRow<'_>, sequence: u64) -> Self {
        Self {
            sequence,
            group: row.group.to_owned(),
            id: row.id.to_owned(),
            message_type: row.message_type.to_owned(),
            key: row.key.map(str::to_owned),
            expires_at: row.expires_at,
            received_at: row.received_at,
            received_from: row.received_from.to_owned(),
            path: row.path.to_owned(),
            text: row.text.to_owned(),
        }
    }

    pub(crate) fn row(&self) -> MessageRow<'_> {
        MessageRow {
            sequence: self.sequence,
            group: &self.group,
            id: &self.id,
            message_type: &self.message_type,
            key: self.key.as_deref(),
            expires_at: self.expires_at,
            received_at: self.received_at,
            received_from: &self.received_from,
            path: &self.path,
            text: &self.text,
        }
    }
}
