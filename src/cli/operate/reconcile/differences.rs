//! What two relays disagree on, message by message. Pure.

use std::collections::{BTreeMap, BTreeSet};
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
    /// The receiver has taken it from the sender more often than that sent it.
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
            Self::Doubled => format!("{to} has taken it from {from} more often than {from} sent it"),
            Self::Unsent => format!("{to} has it from {from}, which knows nothing of having sent it"),
        }
    }
}

/// Whether two relays agree on a slice: what the receiver has acknowledged it took from the sender, or it is all it has, and
/// the rest came through it. The latter is so if messages come by several ways: then it has from others what it acknowledged.
pub(super) fn agree(sender: &Slice, receiver: &Slice) -> bool {
    let mut known = sender.acknowledged;
    known += sender.passed;
    sender.acknowledged == receiver.received || known == receiver.held
}

/// Leaves out what the sender turned out to have sent, when it was asked again: it had not sent it yet at first.
pub(super) fn without_sent(found: Vec<Differing>, sent_by_now: &[ExchangedMessage]) -> Vec<Differing> {
    let sent: BTreeSet<_> = sent_by_now.iter().filter(|message| message.sent != Sent::No).map(identity).collect();
    let is_sent = |found: &Differing| sent.contains(&(found.cluster_group_id.as_str(), found.message_id.as_str()));
    found.into_iter().filter(|found| found.difference != Difference::Unsent || !is_sent(found)).collect()
}

fn identity(message: &ExchangedMessage) -> (&str, &str) {
    (&message.cluster_group_id, &message.message_id)
}

/// What differs, given what the sender said first, and what the receiver said then.
pub(super) fn differences(sent: &[ExchangedMessage], held: &[ExchangedMessage]) -> Vec<Differing> {
    let mut identities: BTreeMap<(&str, &str), [Vec<&ExchangedMessage>; 2]> = BTreeMap::new();
    for (side, messages) in [sent, held].into_iter().enumerate() {
        for message in messages {
            identities.entry(identity(message)).or_default()[side].push(message);
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
    let mut acknowledged = sent.iter().filter(|message| message.sent == Sent::Acknowledged);
    // What came from others may be another message under this identity, which they took in later.
    let received: Vec<_> = held.iter().filter(|message| message.came == Came::FromPeer).collect();
    if let (Some(message), []) = (acknowledged.clone().next(), held) {
        return differing(message, Difference::Lost);
    }
    if let (Some(message), None) = (received.first(), sent.iter().find(is_sent)) {
        return differing(message, Difference::Unsent);
    }
    let first = sent.iter().find(is_sent)?;
    let has_content = |of: &[&ExchangedMessage], message: &ExchangedMessage| {
        of.iter().any(|other| other.fingerprint == message.fingerprint)
    };
    if !acknowledged.all(|message| has_content(held, message))
        || !received.iter().all(|message| has_content(sent, message))
    {
        return differing(first, Difference::Altered);
    }
    let is_doubled = received.len() > sent.iter().filter(is_sent).count();
    is_doubled.then(|| differing(first, Difference::Doubled)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Tally;

    fn message(id: &str, fingerprint: u64, sent: Sent, came: Came) -> ExchangedMessage {
        ExchangedMessage {
            message_id: id.to_owned(),
            cluster_group_id: "singleton".to_owned(),
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
            // A third relay has taken it in twice, and handed it to the receiver both times.
            (vec![acked("a")], vec![elsewhere("a"), elsewhere("a")]),
            // The same, the second time with another value.
            (vec![acked("a")], vec![elsewhere("a"), message("a", 2, Sent::No, Came::Otherwise)]),
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
        let other = message("a", 2, Sent::Acknowledged, Came::Otherwise);
        assert_eq!(found(&[acked("a"), other], &[taken("a"), taken("a")]), differs("a", Difference::Altered));
        assert_eq!(found(&[acked("a")], &[taken("a"), taken("a")]), differs("a", Difference::Doubled));
        assert_eq!(found(&[], &[taken("a")]), differs("a", Difference::Unsent));
        assert_eq!(found(&[elsewhere("a")], &[taken("a")]), differs("a", Difference::Unsent));
    }

    #[test]
    fn what_was_sent_by_now_is_no_difference() {
        let taken = [message("a", 1, Sent::No, Came::FromPeer), message("b", 1, Sent::No, Came::FromPeer)];
        let sent = [message("a", 1, Sent::Unacknowledged, Came::Otherwise), message("b", 1, Sent::No, Came::Otherwise)];
        let left = without_sent(differences(&[], &taken), &sent);
        assert_eq!(left.iter().map(|found| found.message_id.as_str()).collect::<Vec<_>>(), ["b"]);
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
