//! NACK: a message was not taken.

use slipstream_store::{ClusterGroup, MessageId, PeerId};

use super::fields::{Fault, Field, Fields, json, read};
use super::{Code, Rejection, write};

/// What a peer does not take, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nack {
    /// The message's id.
    pub id: MessageId,
    /// The cluster group that the id counts in, where the peer names it.
    pub group: Option<ClusterGroup>,
    /// The code, where it is one that the protocol knows.
    pub code: Option<Code>,
    /// Why, in the peer's words: its reason, otherwise its code, otherwise that it gave none. At most
    /// [`MAX_REASON`](Self::MAX_REASON) bytes.
    pub reason: String,
}

impl Nack {
    /// The longest reason that is kept, in bytes; the rest is cut off. It is stored with a dead letter.
    pub const MAX_REASON: usize = 1_024;

    /// Reads the object of a NACK. Only the id must be readable: whatever the rest is, the peer did not take the message.
    pub(super) fn read(fields: &Fields<'_>) -> Result<Self, Fault> {
        fields.check_once()?;
        let id = read::name(fields, Field::MessageId)?.ok_or_else(|| Fault::missing(Field::MessageId, "NACK"))?;
        let group = read::name(fields, Field::ClusterGroupId)?;
        let code = fields.get(Field::Code).and_then(json::text);
        let reason = fields.get(Field::Reason).and_then(json::text).filter(|reason| !reason.is_empty());
        Ok(Self {
            id,
            group,
            reason: shortened(reason.as_deref().or(code.as_deref()).unwrap_or("no reason given")),
            code: code.as_deref().and_then(Code::named),
        })
    }
}

fn shortened(reason: &str) -> String {
    reason[..reason.floor_char_boundary(Nack::MAX_REASON)].to_owned()
}

/// Writes the NACK that tells a sender of a refusal. Where it would be longer than `most` bytes, its reason is cut, and
/// where that is not enough it has only what the peer needs.
pub fn write_nack(out: &mut Vec<u8>, relay: &PeerId, refusal: &Rejection, most: usize) {
    let start = out.len();
    write_whole(out, Some(relay), refusal, refusal.reason());
    let Some(excess) = (out.len() - start).checked_sub(most).filter(|excess| *excess > 0) else { return };
    out.truncate(start);
    match write::text_len(refusal.reason()).checked_sub(excess) {
        Some(room) => write_whole(out, Some(relay), refusal, write::cut(refusal.reason(), room)),
        None => write_whole(out, None, refusal, ""),
    }
}

fn write_whole(out: &mut Vec<u8>, relay: Option<&PeerId>, refusal: &Rejection, reason: &str) {
    out.extend_from_slice(b"{\"type\":\"NACK\",\"messageId\":");
    match refusal.message_id() {
        Some(id) => write::message_id(out, id),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"code\":\"");
    out.extend_from_slice(refusal.code().as_str().as_bytes());
    out.extend_from_slice(b"\",\"reason\":");
    write::text(out, reason);
    if let Some(relay) = relay {
        out.extend_from_slice(b",\"originInstanceId\":");
        write::plain(out, relay);
    }
    out.extend_from_slice(b",\"clusterGroupId\":");
    write::plain(out, refusal.group());
    out.push(b'}');
}
