//! What the protocol promises, seen from outside: texts in, texts and refusals out.

mod answers;
mod bytes;
mod depth;
mod growth;
mod rules;

use serde_json::Value;
use slipstream_store::{ClusterGroup, PeerId, PeerKind, Stamp};
use ulid::Ulid;

use super::{DEFAULT_MAX_DEPTH, Envelope, Incoming, Rejection, Sender, decode};

const ASSIGNED: Ulid = Ulid::from_parts(1_700_000_000_000, 42);

fn id(text: &str) -> PeerId {
    PeerId::new(text).unwrap()
}

fn group(text: &str) -> ClusterGroup {
    ClusterGroup::new(text).unwrap()
}

fn application() -> Sender {
    Sender { id: id("app"), group: group("apps"), kind: PeerKind::Application }
}

fn relay() -> Sender {
    Sender { id: id("relay-b"), group: group("relays"), kind: PeerKind::Relay }
}

fn stamp() -> Stamp {
    Stamp { epoch: Ulid::from_parts(7, 7), number: 9 }
}

fn message<'a>(text: &'a str, sender: &Sender) -> Result<Envelope<'a>, Rejection> {
    match decode(text, sender, DEFAULT_MAX_DEPTH, || ASSIGNED)? {
        Incoming::Message(envelope) => Ok(envelope),
        other => panic!("not a message: {other:?}"),
    }
}

fn accepted<'a>(text: &'a str, sender: &Sender) -> Envelope<'a> {
    message(text, sender).unwrap_or_else(|refusal| panic!("{text:.300} was refused: {refusal}"))
}

/// The refusal of a text that must be answered with a NACK.
fn refused(text: &str, sender: &Sender) -> Rejection {
    let assign = || panic!("an id was assigned to {text:.300}");
    let refusal = decode(text, sender, DEFAULT_MAX_DEPTH, assign).expect_err(&text[..text.len().min(300)]);
    assert!(refusal.is_answered(), "{text:.300}");
    refusal
}

/// The outgoing text of what this sender sent, through the relay `here`.
fn forwarded(envelope: &Envelope<'_>, sender: &Sender) -> String {
    let path = envelope.outgoing_path(&sender.id, &id("here"));
    let text = envelope.encode(&sender.id, &path, (sender.kind == PeerKind::Application).then(stamp));
    String::from_utf8(text.to_vec()).unwrap()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text:.300}: {error}"))
}
