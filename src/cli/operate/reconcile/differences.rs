//! What two relays disagree on, message by message. Pure.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::admin::{Came, ExchangedMessage, Sent, Slice};

/// How two relays differ over a message that one may have handed to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Difference {
    /// The receiver has acknowledged it, and does not know it.
    Lost,
    /// The receiver has it with another type, key or value.
    Altered,
    /// The receiver has taken it in more often than the sender.
    Doubled,
    /// The receiver has it from the sender, which does not know that it sent it.
    Unsent,
}

/// A message over which two relays differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Differing {
    pub(super) message_id: String,
    pub(super) cluster_group_id: String,
    pub(super) difference: Difference,
    /// Its place in commit order at the sender; at the receiver if the sender does not know it.
    pub(super) sequence: u64,
}

impl Difference {
    /// In words.
    pub(super) fn told(self, from: &str, to: &str) -> impl fmt::Display {
        match self {
            Self::Lost => format!("{to} has acknowledged it to {from}, and knows nothing of it"),
            Self::Altered => format!("{to} has it from {from} with another type, key or value"),
            Self::Doubled => format!("{to} has taken it in more often than {from}"),
            Self::Unsent => format!("{to} has it from {from}, which knows nothing of having sent it"),
        }
    }

    /// Whether the relay that does not know the message may have it in another epoch: it is to be asked for it alone.
    pub(super) fn is_to_be_looked_up(self) -> bool {
        matches!(self, Self::Lost | Self::Unsent)
    }
}

/// Whether two relays agree on a slice: what the receiver has acknowledged it took from the sender, or it is all it has, and
/// the rest came through it. The latter is so if messages come by several ways: then it has from others what it acknowledged.
pub(super) fn agree(sender: &Slice, receiver: &Slice) -> bool {
    let mut known = sender.acknowledged;
    known += sender.passed;
    sender.acknowledged == receiver.received || known == receiver.held
}

/// What differs of messages with one mark.
pub(super) fn differences(sent: &[ExchangedMessage], held: &[ExchangedMessage]) -> Vec<Differing> {
    let mut identities: BTreeMap<(&str, &str), [Vec<&ExchangedMessage>; 2]> = BTreeMap::new();
    for (side, messages) in [sent, held].into_iter().enumerate() {
        for message in messages {
            let identity = (message.cluster_group_id.as_str(), message.message_id.as_str());
            identities.entry(identity).or_default()[side].push(message);
        }
    }
    identities.values().filter_map(|[sent, held]| difference(sent, held)).collect()
}

/// What differs of the messages of one identity: mostly one at each relay.
fn difference(sent: &[&ExchangedMessage], held: &[&ExchangedMessage]) -> Option<Differing> {
    let differing = |message: &ExchangedMessage, difference| {
        Some(Differing {
            message_id: message.message_id.clone(),
            cluster_group_id: message.cluster_group_id.clone(),
            difference,
            sequence: message.sequence,
        })
    };
    let is_sent = |message: &&&ExchangedMessage| message.sent != Sent::No;
    let acknowledged = sent.iter().find(|message| message.sent == Sent::Acknowledged);
    let received = held.iter().find(|message| message.came == Came::FromPeer);
    if let (Some(message), []) = (acknowledged, held) {
        return differing(message, Difference::Lost);
    }
    if let (Some(message), None) = (received, sent.iter().find(is_sent)) {
        return differing(message, Difference::Unsent);
    }
    let first = sent.iter().find(is_sent)?;
    let is_known = |message: &&ExchangedMessage| sent.iter().any(|sent| sent.fingerprint == message.fingerprint);
    if !held.iter().all(is_known) {
        return differing(first, Difference::Altered);
    }
    if held.len() > sent.len() {
        return differing(first, Difference::Doubled);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Tally;

    fn message(id: &str, fingerprint: u64, sent: Sent, came: Came) -> ExchangedMessage {
        ExchangedMessage {
            message_id: id.to_owned(),
            cluster_group_id: "singleton".to_owned(),
            mark: 7,
            sequence: 1,
            fingerprint,
            sent,
            came,
        }
    }

    fn found(sent: &[ExchangedMessage], held: &[ExchangedMessage]) -> Vec<(String, Difference)> {
        differences(sent, held).into_iter().map(|found| (found.message_id, found.difference)).collect()
    }

    #[test]
    fn each_way_to_differ_is_named() {
        let acked = |id| message(id, 1, Sent::Acknowledged, Came::Otherwise);
        let open = |id| message(id, 1, Sent::Unacknowledged, Came::Otherwise);
        let taken = |id| message(id, 1, Sent::No, Came::FromPeer);
        let elsewhere = |id| message(id, 1, Sent::No, Came::Otherwise);
        for nothing in [
            (vec![acked("a")], vec![taken("a")]),
            (vec![acked("a")], vec![elsewhere("a")]),
            (vec![open("a")], vec![]),
            (vec![open("a")], vec![taken("a")]),
            (vec![elsewhere("a")], vec![]),
            (vec![], vec![elsewhere("a")]),
            (vec![elsewhere("a")], vec![elsewhere("a"), elsewhere("a")]),
            // An identity that was taken in again behind the dedup window, at both.
            (vec![acked("a"), acked("a")], vec![taken("a"), taken("a")]),
        ] {
            assert_eq!(found(&nothing.0, &nothing.1), [], "{nothing:?}");
        }
        let differs = |id: &str, difference| vec![(id.to_owned(), difference)];
        assert_eq!(found(&[acked("a"), acked("b")], &[taken("b")]), differs("a", Difference::Lost));
        assert_eq!(
            found(&[acked("a")], &[message("a", 2, Sent::No, Came::FromPeer)]),
            differs("a", Difference::Altered)
        );
        assert_eq!(found(&[acked("a")], &[taken("a"), taken("a")]), differs("a", Difference::Doubled));
        assert_eq!(found(&[open("a")], &[taken("a"), elsewhere("a")]), differs("a", Difference::Doubled));
        assert_eq!(found(&[], &[taken("a")]), differs("a", Difference::Unsent));
        assert_eq!(found(&[elsewhere("a")], &[taken("a")]), differs("a", Difference::Unsent));
    }

    #[test]
    fn relays_agree_over_what_came_by_this_way_or_by_any() {
        let tally = |count, hash| Tally { count, hash };
        let sender = Slice { acknowledged: tally(3, 30), passed: tally(2, u64::MAX), ..Slice::default() };
        let took = |received, held| Slice { received, held, ..Slice::default() };
        assert!(agree(&sender, &took(tally(3, 30), tally(9, 1))));
        assert!(agree(&sender, &took(tally(1, 1), tally(5, 29))));
        for other in [took(tally(3, 31), tally(5, 30)), took(tally(2, 30), tally(4, 29)), Slice::default()] {
            assert!(!agree(&sender, &other), "{other:?}");
        }
    }
}
