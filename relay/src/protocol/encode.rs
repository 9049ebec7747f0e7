//! The outgoing text of a message. It is made once: what is stored is what is sent, and sent again.

use bytes::Bytes;
use slipstream_store::{PeerId, Stamp};

use super::fields::Field;
use super::{Envelope, stamp, write};

/// More than the names of all fields and the punctuation between them take.
const NAMES: usize = 256;

impl Envelope<'_> {
    /// Writes the message as it goes to every recipient.
    ///
    /// `source` is the peer that sent it to this relay, `path` the [outgoing path](Self::outgoing_path). `stamp` is
    /// written where the message came without one; the one that a relay sent stays as it stands in its text.
    ///
    /// The value and the unknown fields are copied byte for byte, and so are all fields that the protocol leaves
    /// unchanged.
    #[must_use]
    pub fn encode(&self, source: &PeerId, path: &[PeerId], stamp: Option<Stamp>) -> Bytes {
        let mut out = Vec::with_capacity(self.room(source, path));
        out.extend_from_slice(b"{\"type\":");
        out.extend_from_slice(self.fields.raw(Field::Type).unwrap_or_default().as_bytes());
        self.copy(&mut out, b",\"key\":", Field::Key);
        if let Some(value) = self.fields.raw(Field::Value) {
            out.extend_from_slice(b",\"value\":");
            out.extend_from_slice(value.as_bytes());
        }
        if !self.copy(&mut out, b",\"messageId\":", Field::MessageId) {
            out.extend_from_slice(b",\"messageId\":");
            write::message_id(&mut out, &self.identity().id);
        }
        if !self.copy(&mut out, b",\"originInstanceId\":", Field::OriginInstanceId) {
            out.extend_from_slice(b",\"originInstanceId\":");
            write::plain(&mut out, source);
        }
        out.extend_from_slice(b",\"sourceInstanceId\":");
        write::plain(&mut out, source);
        out.extend_from_slice(b",\"messagePath\":");
        write::path(&mut out, path);
        self.copy(&mut out, b",\"targetedTags\":", Field::TargetedTags);
        self.copy(&mut out, b",\"targetedInstances\":", Field::TargetedInstances);
        if !self.copy(&mut out, b",\"clusterGroupId\":", Field::ClusterGroupId) {
            out.extend_from_slice(b",\"clusterGroupId\":");
            write::plain(&mut out, &self.identity().group);
        }
        self.copy(&mut out, b",\"expiresAt\":", Field::ExpiresAt);
        self.copy(&mut out, b",\"mandatory\":", Field::Mandatory);
        self.copy(&mut out, b",\"inReplyTo\":", Field::InReplyTo);
        if self.stamp().is_some() {
            self.copy(&mut out, b",\"relayStamp\":", Field::RelayStamp);
        } else if let Some(stamp) = stamp {
            out.extend_from_slice(b",\"relayStamp\":");
            stamp::write(&mut out, stamp);
        }
        out.extend_from_slice(&self.fields.others);
        out.push(b'}');
        Bytes::from(out)
    }

    /// Copies a field that is there; tells whether it is.
    fn copy(&self, out: &mut Vec<u8>, name: &[u8], field: Field) -> bool {
        let Some(json) = self.fields.get(field) else {
            return false;
        };
        out.extend_from_slice(name);
        out.extend_from_slice(json.as_bytes());
        true
    }

    /// Room enough for the outgoing text, so that it is allocated once.
    fn room(&self, source: &PeerId, path: &[PeerId]) -> usize {
        let identity = self.identity();
        let hops: usize = path.iter().map(|hop| hop.as_str().len() + 3).sum();
        NAMES
            + self.fields.text_len
            + hops
            + 2 * source.as_str().len()
            + 2 * identity.id.as_str().len()
            + identity.group.as_str().len()
    }
}
