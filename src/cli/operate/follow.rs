//! `slipstream trace --follow`: the way of a message across relays, as one tree.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::table::or_dash;
use crate::admin::client::get;
use crate::admin::{AdminUrl, ClientError, DeliveryItem, MessageBody};
use crate::cli::output;

/// Most relays that are asked.
const MAX_RELAYS: usize = 256;

/// What one relay tells of a message, and the relays to which it went from there.
#[derive(Debug, Serialize)]
pub(super) struct Followed {
    /// The relay.
    relay: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<MessageBody>,
    /// Why it tells nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// Those that it passed the message on to, and that were asked.
    next: Vec<Self>,
}

/// Asks relay after relay: each that is known by its id, and that one that was asked had the message for. No relay is asked
/// twice; those that have it by two ways stand where the way is shorter.
pub(super) async fn follow(first: MessageBody, path: &str, relays: &HashMap<String, AdminUrl>) -> Followed {
    let relay = first.message_path.last().cloned().unwrap_or_default();
    let mut asked = HashSet::from([relay.clone()]);
    let mut found = vec![(relay, None, Ok(first))];
    let mut at = 0;
    while at < found.len() {
        let next: Vec<String> = match &found[at].2 {
            Ok(trace) => trace.deliveries.iter().map(|delivery| delivery.peer.clone()).collect(),
            Err(_) => Vec::new(),
        };
        for peer in next {
            let Some(admin) = relays.get(&peer).filter(|_| found.len() < MAX_RELAYS) else { continue };
            if asked.insert(peer.clone()) {
                let told: Result<MessageBody, ClientError> = get(admin, path).await;
                found.push((peer, Some(at), told));
            }
        }
        at += 1;
    }
    tree(found)
}

/// What was found, each after the one that led to it, as a tree.
fn tree(found: Vec<(String, Option<usize>, Result<MessageBody, ClientError>)>) -> Followed {
    let mut whole = Followed { relay: String::new(), trace: None, error: None, next: Vec::new() };
    let mut below: Vec<Vec<Followed>> = found.iter().map(|_| Vec::new()).collect();
    for (at, (relay, parent, told)) in found.into_iter().enumerate().rev() {
        let mut next = std::mem::take(&mut below[at]);
        next.reverse();
        let (trace, error) = match told {
            Ok(trace) => (Some(trace), None),
            Err(ClientError::Refused { status: 404, .. }) => (None, Some("it knows nothing of the message".to_owned())),
            Err(error) => (None, Some(error.to_string())),
        };
        let followed = Followed { relay, trace, error, next };
        match parent {
            Some(parent) => below[parent].push(followed),
            None => whole = followed,
        }
    }
    whole
}

/// The tree, a line a delivery.
pub(super) fn drawn(followed: &Followed) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(trace) = &followed.trace {
        let sender = output::printable(&trace.received_from);
        lines.push(format!("{}  received {} from {sender}", output::printable(&followed.relay), trace.received_at));
        branches(followed, trace, "", &mut lines);
    }
    lines
}

fn branches(followed: &Followed, trace: &MessageBody, before: &str, lines: &mut Vec<String>) {
    for (index, delivery) in trace.deliveries.iter().enumerate() {
        let is_last = index + 1 == trace.deliveries.len();
        let (branch, rest) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        lines.push(format!("{before}{branch}{}", told(delivery)));
        let Some(next) = followed.next.iter().find(|next| next.relay == delivery.peer) else { continue };
        let before = format!("{before}{rest}");
        match (&next.trace, &next.error) {
            (Some(trace), _) => branches(next, trace, &before, lines),
            (None, Some(error)) => lines.push(format!("{before}└─ ? {}", output::printable(error))),
            (None, None) => {}
        }
    }
}

fn told(DeliveryItem { peer, state, attempts, settled_at, last_attempt_at, reason, .. }: &DeliveryItem) -> String {
    let mut told = format!("{peer}  {state}  {}", or_dash(settled_at.as_deref().or(last_attempt_at.as_deref())));
    if *attempts > 0 {
        told += &format!("  republished {attempts} times");
    }
    if let Some(reason) = reason {
        told += &format!("  {reason}");
    }
    output::printable(&told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(relay: &str, deliveries: &[(&str, &str)]) -> MessageBody {
        let delivery = |(peer, state): &(&str, &str)| DeliveryItem {
            peer: (*peer).to_owned(),
            state: (*state).to_owned(),
            attempts: u32::from(*state == "dead"),
            sequence: 1,
            last_attempt_at: None,
            settled_at: None,
            reason: (*state == "dead").then(|| "rejected: no".to_owned()),
        };
        MessageBody {
            message_id: "m".to_owned(),
            cluster_group_id: "singleton".to_owned(),
            message_type: "SK".to_owned(),
            key: None,
            received_at: "now".to_owned(),
            received_from: "shop".to_owned(),
            message_path: vec!["shop".to_owned(), relay.to_owned()],
            deliveries: deliveries.iter().map(delivery).collect(),
        }
    }

    #[test]
    fn a_tree_has_each_delivery_once_and_each_relay_below_the_one_that_led_to_it() {
        let refused = ClientError::Refused { url: String::new(), status: 404, message: String::new() };
        let followed = tree(vec![
            ("aws".to_owned(), None, Ok(message("aws", &[("azure", "acknowledged"), ("gcp", "pending")]))),
            ("azure".to_owned(), Some(0), Ok(message("azure", &[("bank", "dead"), ("oci", "acknowledged")]))),
            ("gcp".to_owned(), Some(0), Err(refused)),
            ("oci".to_owned(), Some(1), Ok(message("oci", &[("mill", "in_flight")]))),
        ]);
        let expected = [
            "aws  received now from shop",
            "├─ azure  acknowledged  -",
            "│  ├─ bank  dead  -  republished 1 times  rejected: no",
            "│  └─ oci  acknowledged  -",
            "│     └─ mill  in_flight  -",
            "└─ gcp  pending  -",
            "   └─ ? it knows nothing of the message",
        ];
        assert_eq!(drawn(&followed), expected);
    }
}
