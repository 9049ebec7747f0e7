//! The text of a message, an ACK or a NACK.

use std::num::NonZeroUsize;

use serde_json::Value;
use slipstream::protocol::{
    self, Ack, Envelope, Incoming, Nack, Rejection, Sender, decode, ids_within, max_path, write_ack, write_ack_batch,
    write_nack,
};
use slipstream_store::{ClusterGroup, Identity, MessageId, PeerId, PeerKind, Stamp};
use ulid::Ulid;

use crate::told::assert_short;

/// Longest reason of a refusal.
const MOST_TOLD: usize = 512;

/// More than a relay adds to a message but for its path: names of fields, ids, a stamp.
const ADDED: usize = 1024;

/// The shortest limit of a message for which an answer must have room.
const LEAST_ANSWER: usize = 1024;

/// Reads a text: the first byte says of whom it comes and how deep it may be, the rest is the text.
///
/// - What is taken agrees with what `serde_json` reads, and goes out so that the next relay reads the same and sends the
///   same bytes on. It grows by no more than the relay's own fields.
/// - What is refused is told in a short line, which does not repeat the value, and the NACK keeps to its limit.
pub fn envelope(input: &[u8]) {
    let Some((&how, text)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let kind = if how & 1 == 0 { PeerKind::Application } else { PeerKind::Relay };
    // A relay adds a path, and its next relay has the same limit: so there are three levels at least.
    let depth = [3, 4, 8, 64].map(NonZeroUsize::new)[usize::from(how >> 1) % 4].unwrap_or(NonZeroUsize::MIN);
    let sender = Sender { kind, ..relay("sender") };
    match decode(text, &sender, depth, || Ulid(7)) {
        Ok(Incoming::Message(message)) => taken(text, &message, &sender, depth),
        Ok(Incoming::Ack(ack)) => acknowledged(&ack),
        Ok(Incoming::Nack(nack)) => refused_by_peer(&nack),
        Err(rejection) => refused(text, &rejection),
    }
}

#[expect(clippy::expect_used, reason = "these are names")]
fn relay(id: &str) -> Sender {
    Sender { id: PeerId::new(id).expect("an id"), group: ClusterGroup::singleton(), kind: PeerKind::Relay }
}

fn taken(text: &str, message: &Envelope<'_>, sender: &Sender, depth: NonZeroUsize) {
    agrees(text, message);
    let here = relay("here");
    let path = message.outgoing_path(&sender.id, &here.id);
    let stamp = message.stamp().or(Some(Stamp { epoch: Ulid(9), number: u64::MAX }));
    let sent = message.encode(&sender.id, &path, stamp);
    let added: usize = path.iter().map(|hop| hop.as_str().len() + 3).sum();
    assert!(sent.len() <= text.len() + added + ADDED, "{} bytes became {}", text.len(), sent.len());
    assert_eq!(*protocol::path(&sent), *path);
    assert_eq!(*protocol::targeted_instances(&sent), *message.targeted_instances());

    let next = std::str::from_utf8(&sent);
    assert!(next.is_ok(), "what goes out is no text: {sent:?}");
    let read = decode(next.unwrap_or_default(), &here, depth, || Ulid(8));
    let again = match &read {
        Ok(Incoming::Message(again)) => again,
        Err(_) if path.len() > max_path(PeerKind::Relay) => return,
        other => return assert!(other.is_err() && other.is_ok(), "the next relay does not take {sent:?}: {other:?}"),
    };
    assert_eq!(
        (again.message_type(), again.key(), again.identity(), again.fingerprint()),
        (message.message_type(), message.key(), message.identity(), message.fingerprint())
    );
    assert_eq!(
        (again.targeted_tags(), again.targeted_instances(), again.expires_at(), again.is_mandatory()),
        (message.targeted_tags(), message.targeted_instances(), message.expires_at(), message.is_mandatory())
    );
    assert_eq!((again.path(), again.stamp()), (&*path, stamp));
    assert_eq!(again.encode(&sender.id, &path, None), sent, "sent on once more it is another text");
}

/// What another parser makes of the text, as far as it takes it: some numbers are too large for it, and half a surrogate
/// pair is no text.
fn agrees(text: &str, message: &Envelope<'_>) {
    let Ok(Value::Object(fields)) = serde_json::from_str(text) else { return };
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    assert_eq!(text("type"), Some(message.message_type().as_str()));
    assert_eq!(text("key"), message.key().map(AsRef::as_ref));
    if let Some(id) = text("messageId") {
        assert_eq!(id, message.identity().id.as_str());
    }
    if let Some(group) = text("clusterGroupId") {
        assert_eq!(group, message.identity().group.as_str());
    }
    let list = |name: &str| fields.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let as_values = |names: &mut dyn Iterator<Item = &str>| names.map(Value::from).collect::<Vec<_>>();
    assert_eq!(list("targetedTags"), as_values(&mut message.targeted_tags().iter().map(AsRef::as_ref)));
    assert_eq!(list("targetedInstances"), as_values(&mut message.targeted_instances().iter().map(AsRef::as_ref)));
    assert_eq!(list("messagePath"), as_values(&mut message.path().iter().map(AsRef::as_ref)));
    assert_eq!(fields.get("mandatory").and_then(Value::as_bool).unwrap_or_default(), message.is_mandatory());
}

fn acknowledged(ack: &Ack) {
    let here = relay("here");
    let group = ack.group().cloned().unwrap_or_default();
    let read = |text: &[u8]| {
        let text = std::str::from_utf8(text).map(str::to_owned).unwrap_or_default();
        match decode(&text, &relay("sender"), NonZeroUsize::MIN, || Ulid(7)) {
            Ok(Incoming::Ack(ack)) => Some(ack),
            _ => None,
        }
    };
    let mut batch = Vec::new();
    write_ack_batch(&mut batch, &here.id, &group, ack.ids());
    let again = read(&batch);
    assert_eq!(again.as_ref().map(Ack::ids), Some(ack.ids()), "{batch:?}");
    assert_eq!(again.as_ref().and_then(Ack::group), Some(&group));
    let count = ids_within(&here.id, LEAST_ANSWER).min(ack.ids().len());
    let mut within = Vec::new();
    write_ack_batch(&mut within, &here.id, &group, &ack.ids()[..count]);
    assert!(within.len() <= LEAST_ANSWER, "{} bytes for {count} ids", within.len());
    for id in ack.ids().iter().take(4) {
        let identity = Identity { group: group.clone(), id: id.clone() };
        let mut one = Vec::new();
        write_ack(&mut one, &here.id, &identity, LEAST_ANSWER);
        assert!(one.len() <= LEAST_ANSWER);
        assert_eq!(read(&one).map(|ack| ack.ids().to_vec()), Some(vec![id.clone()]));
    }
}

fn refused_by_peer(nack: &Nack) {
    assert!(nack.reason.len() <= Nack::MAX_REASON, "{} bytes of a reason are kept", nack.reason.len());
}

fn refused(text: &str, rejection: &Rejection) {
    assert_short(rejection.reason(), MOST_TOLD);
    let here = relay("here");
    for most in [0, LEAST_ANSWER, usize::MAX] {
        let mut nack = Vec::new();
        write_nack(&mut nack, &here.id, rejection, most);
        assert!(most < LEAST_ANSWER || nack.len() <= most, "{} bytes", nack.len());
        let value: Result<Value, _> = serde_json::from_slice(&nack);
        let value = value.unwrap_or_default();
        assert_eq!(value["code"], rejection.code().as_str(), "{nack:?} for {text:?}");
        assert_eq!(value["messageId"].as_str(), rejection.message_id().map(MessageId::as_str));
    }
}
