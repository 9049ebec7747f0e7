//! A message and its deliveries as operations.

use std::sync::Arc;

use bytes::Bytes;
use slipstream_store::{
    ClusterGroup, DeadLetterReason, DeliveryState, Fingerprint, HeldDelivery, HeldHeader, HeldMessage, HeldOrigin,
    HeldState, Operation, Peer, PeerId, PeerKind, Record, Result, Route, Sequence, Timestamp,
};

use crate::marks::{OWN, forgotten, own};

/// Records or imports a message. Recorded, it is owed to each peer that has a delivery of it, and once more to an alias if
/// the peer had acknowledged another one.
pub(crate) fn bring(message: HeldMessage) -> Result<Operation> {
    let HeldMessage { sequence, identity, origin, received_at, header, deliveries, expires_at, text } = message;
    let HeldHeader { message_type, key, received_from, path, epoch } = header.map_or_else(forgotten, Ok)?;
    let twice = deliveries.iter().filter(|delivery| delivery.acknowledged.is_some());
    let aliases = twice.enumerate().map(|(number, _)| alias(number)).collect::<Result<Vec<_>>>()?;
    let peers = deliveries.iter().map(|delivery| delivery.peer.clone());
    let is_open = deliveries.iter().any(HeldDelivery::is_open);
    let recipients = match origin {
        HeldOrigin::Recorded { .. } => peers.chain(aliases).collect(),
        HeldOrigin::Imported => Box::default(),
    };
    let mut record = Record {
        identity,
        fingerprint: Fingerprint::from_u64(0),
        message_type,
        key,
        expires_at: expires_at.map(expiry),
        received_at,
        stamp: None,
        epoch,
        route: Arc::new(Route { received_from, path: path.into(), recipients }),
        text,
    };
    match (origin, deliveries.into_iter().next()) {
        (HeldOrigin::Recorded { fingerprint, .. }, _) => {
            Ok(Operation::Record(Box::new(Record { fingerprint, ..record })))
        }
        (HeldOrigin::Imported, delivery) => {
            if !is_open {
                // It is discarded at once, or acknowledged; no other may look like it until then.
                record.text = Bytes::from(format!("{OWN} {sequence}"));
            }
            let peer = delivery.as_ref().map_or_else(|| PeerId::new(OWN).map_err(own), |it| Ok(it.peer.clone()))?;
            let (reason, attempts, dead_at) = match delivery.map(|delivery| delivery.state) {
                Some(HeldState::Dead { reason, attempts, at }) => (reason, attempts, at),
                Some(HeldState::Settled { at, .. }) => (DeadLetterReason::Unacknowledged, 0, at),
                _ => (DeadLetterReason::Unacknowledged, 0, received_at),
            };
            Ok(Operation::ImportDeadLetter { peer, message: Box::new(record), reason, attempts, dead_at })
        }
    }
}

/// When a message expires: not at the Unix epoch, at which each purge has it expire, also one that is to remove something
/// else.
pub(crate) fn expiry(at: Timestamp) -> Timestamp {
    at.max(Timestamp::from_millis(1))
}

/// The name under which a message is owed to a peer a second time.
pub(crate) fn alias(number: usize) -> Result<PeerId> {
    PeerId::new(format!("{OWN}-{number}")).map_err(own)
}

/// What is said of a peer that is remembered only while messages are brought that it had a delivery of.
pub(crate) fn passing(id: PeerId) -> Peer {
    Peer {
        id,
        kind: PeerKind::Application,
        group: ClusterGroup::singleton(),
        tags: Arc::from([]),
        durable: true,
        last_seen: Timestamp::ZERO,
        alias: None,
        paused: false,
    }
}

/// Makes a pending delivery what it is to be.
pub(crate) fn finish(delivery: HeldDelivery, sequence: Sequence) -> Vec<Operation> {
    let peer = delivery.peer;
    match delivery.state {
        HeldState::Pending { attempts: 0, .. } => Vec::new(),
        HeldState::Pending { attempts: number, last_attempt_at } => {
            vec![Operation::Attempt { peer, sequence, number, at: last_attempt_at.unwrap_or_default() }]
        }
        HeldState::Dead { reason, attempts, at } => {
            vec![Operation::DeadLetter { peer, sequence, reason, attempts, at }]
        }
        HeldState::Settled { state: DeliveryState::Superseded, at } => {
            vec![Operation::Supersede { peer, sequence, at }]
        }
        HeldState::Settled { state: DeliveryState::Expired, at } => vec![Operation::Expire { peer, sequence, at }],
        HeldState::Settled { state: DeliveryState::Dead, at } => {
            vec![give_up(&peer, sequence, at), Operation::Discard { peer, sequence }]
        }
        HeldState::Settled { at, .. } => vec![Operation::Acknowledge { peer, sequence, at }],
    }
}

/// Ends the dead letter of an import that was settled and is not to be redriven.
pub(crate) fn finish_import(delivery: HeldDelivery, sequence: Sequence) -> Operation {
    let peer = delivery.peer;
    match delivery.state {
        HeldState::Settled { state: DeliveryState::Acknowledged, at } => Operation::Acknowledge { peer, sequence, at },
        _ => Operation::Discard { peer, sequence },
    }
}

/// Gives a pending delivery a new sequence.
pub(crate) fn move_on(peer: &PeerId, sequence: Sequence, at: Timestamp) -> [Operation; 2] {
    [give_up(peer, sequence, at), Operation::Redrive { peer: peer.clone(), sequence }]
}

fn give_up(peer: &PeerId, sequence: Sequence, at: Timestamp) -> Operation {
    let (peer, reason) = (peer.clone(), DeadLetterReason::Unacknowledged);
    Operation::DeadLetter { peer, sequence, reason, attempts: 0, at }
}
