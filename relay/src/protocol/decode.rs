//! From a text frame to what it says.

use std::num::NonZeroUsize;

use slipstream_store::{ClusterGroup, PeerId, PeerKind};
use ulid::Ulid;

use super::ack::Ack;
use super::envelope::{Envelope, Sender};
use super::fields::json::text;
use super::fields::{Fault, Field, Fields, read};
use super::nack::Nack;
use super::path::{MAX_OUTGOING_PATH, max_path};
use super::rejection::Rejection;

/// One text frame, decoded. It borrows from the text.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "it lives on the stack of one reader, and a box for each message costs more"
)]
pub enum Incoming<'a> {
    /// A message to relay.
    Message(Envelope<'a>),
    /// The peer has handled messages that were sent to it.
    Ack(Ack),
    /// The peer does not take a message that was sent to it.
    Nack(Nack),
}

/// Reads one text frame.
///
/// `max_depth` is the number of levels that a message may be deep, itself counted. `assign` makes the id of a valid message that carries none; it is not called otherwise. What is allocated is
/// bounded by the length of `text`, and lists are read no further than their limits.
///
/// # Errors
/// A [`Rejection`] with the code [`InvalidJson`](super::Code::InvalidJson) or
/// [`InvalidMessage`](super::Code::InvalidMessage). The caller sends it to the peer as a NACK where
/// [`is_answered`](Rejection::is_answered) says so, and otherwise only counts it: an ACK or NACK that cannot be read is
/// never answered.
pub fn decode<'a>(
    text: &'a str,
    sender: &Sender,
    max_depth: NonZeroUsize,
    assign: impl FnOnce() -> Ulid,
) -> Result<Incoming<'a>, Rejection> {
    let mut fields = Fields::new(max_depth.get());
    fields.scan(text).map_err(|fault| Rejection::of_text(fault, &sender.group))?;
    let answer = match named_type(&fields).as_deref() {
        Some("ACK") => Ack::read(&fields).map(Incoming::Ack),
        Some("NACK") => Nack::read(&fields).map(Incoming::Nack),
        _ => return Envelope::read(fields, sender, max_path(sender.kind), assign).map(Incoming::Message),
    };
    answer.map_err(|fault| Rejection::of_answer(fault, &fields, &sender.group))
}

/// Reads a message that has gone out, from this relay or another: as [`encode`](Envelope::encode) wrote it, with all that a
/// relay fills in.
///
/// # Errors
/// A [`Rejection`] as [`decode`] has it; also for what is no message, and for one that no relay wrote.
pub fn decode_outgoing(text: &str, max_depth: NonZeroUsize) -> Result<Envelope<'_>, Rejection> {
    let group = ClusterGroup::singleton();
    let mut fields = Fields::new(max_depth.get());
    fields.scan(text).map_err(|fault| Rejection::of_text(fault, &group))?;
    match source(&fields) {
        // All that would be filled in for the sender is there.
        Ok(id) => Envelope::read(fields, &Sender { id, group, kind: PeerKind::Relay }, MAX_OUTGOING_PATH, Ulid::nil),
        Err(fault) => Err(Rejection::of_message(fault, &fields, &group)),
    }
}

/// The peer that an outgoing message came from, if it has all that a relay fills in.
fn source(fields: &Fields<'_>) -> Result<PeerId, Fault> {
    if let Some(answer @ ("ACK" | "NACK")) = named_type(fields).as_deref() {
        return Err(Fault(format!("type: expected that of a message, got {answer}")));
    }
    let written = [Field::MessageId, Field::MessagePath, Field::ClusterGroupId];
    if let Some(missing) = written.into_iter().find(|field| fields.get(*field).is_none()) {
        return Err(Fault::not_written(missing));
    }
    let source = read::name(fields, Field::SourceInstanceId)?;
    source.ok_or_else(|| Fault::not_written(Field::SourceInstanceId))
}

/// The type as it stands, before any rule is looked at.
fn named_type<'a>(fields: &Fields<'a>) -> Option<std::borrow::Cow<'a, str>> {
    fields.get(Field::Type).and_then(text)
}
