//! A message grows from relay to relay: what one relay confirms, the next ones can take.

use serde_json::json;
use slipstream_store::PeerKind;

use super::{accepted, group, id, json, refused, relay, stamp};
use crate::link::LinkLimits;
use crate::protocol::{Sender, max_path};

/// An id of the greatest length.
fn long(kind: &str, number: usize) -> String {
    format!("{:x<128}", format!("{kind}-{number}-"))
}

fn sent_by(name: &str, kind: PeerKind) -> Sender {
    Sender { id: id(name), group: group(&"g".repeat(128)), kind }
}

/// What goes out when a relay passes a text on.
fn through(text: &str, sender: &Sender, relay: &str) -> String {
    let envelope = accepted(text, sender);
    let path = envelope.outgoing_path(&sender.id, &id(relay));
    let text = envelope.encode(&sender.id, &path, (sender.kind == PeerKind::Application).then(stamp));
    String::from_utf8(text.to_vec()).unwrap()
}

fn hops(text: &str) -> usize {
    json(text)["messagePath"].as_array().map_or(0, Vec::len)
}

#[test]
fn the_longest_path_of_an_application_is_one_that_the_next_relay_takes() {
    let longest = max_path(PeerKind::Application);
    for (hops_sent, last_is_sender) in [(longest, false), (longest, true), (longest - 1, false), (longest - 2, true)] {
        let mut path: Vec<String> = (0..hops_sent).map(|hop| format!("hop-{hop}")).collect();
        if last_is_sender {
            "app".clone_into(path.last_mut().unwrap());
        }
        let text = json!({"type": "X", "messagePath": path}).to_string();
        let first = through(&text, &sent_by("app", PeerKind::Application), "relay-1");
        assert_eq!(hops(&first), hops_sent + if last_is_sender { 1 } else { 2 });
        // The second relay takes it, for its applications.
        let second = through(&first, &sent_by("relay-1", PeerKind::Relay), "relay-2");
        assert_eq!(hops(&second), hops(&first) + 1);
    }
    let path = vec!["x"; longest + 1];
    let text = json!({"type": "X", "messagePath": path}).to_string();
    assert_eq!(
        refused(&text, &sent_by("app", PeerKind::Application)).reason(),
        "messagePath: expected at most 62 items, got more"
    );
}

#[test]
fn a_relay_takes_64_hops_from_a_relay_and_says_so_where_there_are_more() {
    let text = |hops: usize| json!({"type": "X", "messageId": "m", "messagePath": vec!["x"; hops]}).to_string();
    accepted(&text(64), &relay());
    let refusal = refused(&text(65), &relay());
    assert_eq!(refusal.reason(), "messagePath: expected at most 64 items, got more");
    assert_eq!(refusal.message_id().map(AsRef::as_ref), Some("m"));
}

#[test]
fn on_the_longest_way_a_message_grows_by_less_than_relays_take_more() {
    let room = LinkLimits::default().with(PeerKind::Relay).max_message_bytes - LinkLimits::default().max_message_bytes;
    let mut text = r#"{"type":"X"}"#.to_owned();
    let sent = text.len();
    let mut sender = sent_by(&long("app", 0), PeerKind::Application);
    let mut relays = 0;
    while hops(&text) <= max_path(PeerKind::Relay) {
        relays += 1;
        let relay = long("relay", relays);
        text = through(&text, &sender, &relay);
        sender = sent_by(&relay, PeerKind::Relay);
    }
    assert_eq!(relays, 64, "a chain of 64 relays is as long as a path allows");
    assert!(text.len() - sent < room, "{} bytes", text.len() - sent);
}
