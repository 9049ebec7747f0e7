//! ACK: a message is safe (from the relay), or was handled (from a peer).

use slipstream_store::{ClusterGroup, Identity, MessageId, PeerId};

use super::fields::{Fault, Field, Fields, read};
use super::write;

/// What a peer acknowledges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    ids: Vec<MessageId>,
    group: Option<ClusterGroup>,
}

impl Ack {
    /// Reads the object of an ACK: `messageId`, or `messageIds`, or both. A frame's limit bounds how many ids there are.
    pub(super) fn read(fields: &Fields<'_>) -> Result<Self, Fault> {
        fields.check_once()?;
        let mut ids: Vec<MessageId> = read::names(fields, Field::MessageIds, usize::MAX)?;
        match read::name(fields, Field::MessageId)? {
            Some(id) => ids.push(id),
            None if fields.get(Field::MessageIds).is_none() => return Err(Fault::missing(Field::MessageId, "ACK")),
            None => {}
        }
        Ok(Self { ids, group: read::name(fields, Field::ClusterGroupId)? })
    }

    /// The ids of the messages. There are none only where the peer sent an empty array.
    #[must_use]
    pub fn ids(&self) -> &[MessageId] {
        &self.ids
    }

    /// The cluster group that the ids count in, where the peer names it.
    #[must_use]
    pub fn group(&self) -> Option<&ClusterGroup> {
        self.group.as_ref()
    }
}

/// Writes the ACK of one message. Where it would be longer than `most` bytes, it has only what the peer needs.
pub fn write_ack(out: &mut Vec<u8>, relay: &PeerId, identity: &Identity, most: usize) {
    let start = out.len();
    out.extend_from_slice(b"{\"type\":\"ACK\",\"messageId\":");
    write::message_id(out, &identity.id);
    let needed = out.len();
    write_rest(out, relay, &identity.group);
    if out.len() - start > most {
        out.truncate(needed);
        write_group(out, &identity.group);
    }
}

/// Most ids in one ACK, whatever they are, so that it is not longer than `most` bytes.
#[must_use]
pub fn ids_within(relay: &PeerId, most: usize) -> usize {
    /// Most characters of a message id and of a cluster group.
    const LONGEST: usize = 128;
    let mut around = Vec::new();
    write_ack_batch(&mut around, relay, &ClusterGroup::singleton(), []);
    // Each character of an id may have to be escaped; quotes and a comma come with it.
    most.saturating_sub(around.len() + LONGEST) / (2 * LONGEST + 3)
}

/// Writes one ACK for several messages of a cluster group. Only a peer that takes batched ACKs may get it.
pub fn write_ack_batch<'a>(
    out: &mut Vec<u8>,
    relay: &PeerId,
    group: &ClusterGroup,
    ids: impl IntoIterator<Item = &'a MessageId>,
) {
    out.extend_from_slice(b"{\"type\":\"ACK\",\"messageIds\":");
    write::list(out, ids, write::message_id);
    write_rest(out, relay, group);
}

fn write_rest(out: &mut Vec<u8>, relay: &PeerId, group: &ClusterGroup) {
    out.extend_from_slice(b",\"originInstanceId\":");
    write::plain(out, relay);
    out.extend_from_slice(b",\"sourceInstanceId\":");
    write::plain(out, relay);
    out.extend_from_slice(b",\"messagePath\":[");
    write::plain(out, relay);
    out.push(b']');
    write_group(out, group);
}

fn write_group(out: &mut Vec<u8>, group: &ClusterGroup) {
    out.extend_from_slice(b",\"clusterGroupId\":");
    write::plain(out, group);
    out.push(b'}');
}
