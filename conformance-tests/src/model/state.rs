//! What every operation does.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use slipstream_store::{
    Batch, DeadLetterCursor, DeadLetterReason, DeliveryState, DuplicateBy, Fingerprint, Identity, Operation, Outcome,
    Peer, PeerId, Record, Result, Sent, Sequence, Stamp, StoreError, Timestamp,
};

use super::members::Members;

/// All that a store knows.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) relay: Option<PeerId>,
    pub(super) peers: BTreeMap<PeerId, Peer>,
    last_sequence: u64,
    /// What each remembered peer is owed.
    pub(super) pending: BTreeMap<PeerId, BTreeMap<Sequence, Owed>>,
    /// The pending deliveries that can expire, the first to expire first.
    pub(super) expiring: BTreeSet<(Timestamp, Sequence, PeerId)>,
    pub(super) dead: BTreeMap<DeadLetterCursor, Dead>,
    pub(super) identities: BTreeMap<Identity, Fingerprint>,
    /// The remembered identities in the order of their recording, with the time at which each was received.
    pub(super) recorded: VecDeque<(Timestamp, Identity)>,
    pub(super) stamps: BTreeMap<Stamp, Timestamp>,
    pub(super) stamps_by_age: BTreeSet<(Timestamp, Stamp)>,
    /// By the sequence under which the message was recorded.
    pub(super) traces: BTreeMap<Sequence, Traced>,
    pub(super) newest_trace: BTreeMap<Identity, Sequence>,
    /// The traces of imported dead letters.
    pub(super) imported: BTreeSet<(Identity, Sequence)>,
    /// The traces that may go, by the time at which the last delivery was settled.
    pub(super) finished: BTreeSet<(Timestamp, Sequence)>,
    pub(super) shared: Members,
}

/// A message, and the sequence under which it was recorded first.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) record: Arc<Record>,
    pub(super) origin: Sequence,
}

/// A pending delivery.
#[derive(Debug, Clone)]
pub(super) struct Owed {
    pub(super) message: Message,
    pub(super) attempts: u32,
    pub(super) last_attempt_at: Option<Timestamp>,
}

impl Owed {
    /// As it is right after it was recorded or redriven.
    fn new(message: Message) -> Self {
        Self { message, attempts: 0, last_attempt_at: None }
    }
}

/// A dead letter.
#[derive(Debug, Clone)]
pub(super) struct Dead {
    pub(super) message: Message,
    pub(super) reason: DeadLetterReason,
    pub(super) attempts: u32,
    pub(super) at: Timestamp,
}

/// The trace of a message.
#[derive(Debug, Clone)]
pub(super) struct Traced {
    pub(super) record: Arc<Record>,
    /// The deliveries that are pending or a dead letter.
    pub(super) open: BTreeMap<PeerId, Sequence>,
    /// The newest sequence that each peer had the message under, and how that was settled, if it was under this peer.
    pub(super) newest: BTreeMap<PeerId, (Sequence, Option<Settled>)>,
    /// What was sent to each peer, ever.
    pub(super) sent: BTreeMap<PeerId, Sent>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Settled {
    pub(super) state: DeliveryState,
    pub(super) at: Timestamp,
}

impl State {
    pub(super) fn commit(&mut self, batch: &Batch) -> Result<Vec<Outcome>> {
        self.has_room(batch)?;
        Ok(batch.operations.iter().map(|operation| self.apply(operation)).collect())
    }

    /// An operation uses one sequence at most; looking ahead keeps a batch that does not fit from applying in part.
    pub(super) fn has_room(&self, batch: &Batch) -> Result<()> {
        if Sequence::LAST.get() - self.last_sequence < batch.operations.len() as u64 {
            return Err(StoreError::Full("every sequence has been given".to_owned()));
        }
        Ok(())
    }

    pub(super) fn apply(&mut self, operation: &Operation) -> Outcome {
        let changed = match operation {
            Operation::Record(record) => return self.record(record),
            Operation::Recognise(record) => return self.recognise(record).unwrap_or(Outcome::Unchanged),
            Operation::Redrive { peer, sequence } => return self.redrive(peer, *sequence),
            Operation::Acknowledge { peer, sequence, at } => return self.acknowledge(peer, *sequence, *at),
            Operation::Supersede { peer, sequence, at } => self.settle(peer, *sequence, DeliveryState::Superseded, *at),
            Operation::Expire { peer, sequence, at } => self.settle(peer, *sequence, DeliveryState::Expired, *at),
            Operation::Attempt { peer, sequence, number, at } => self.attempt(peer, *sequence, *number, *at),
            Operation::DeadLetter { peer, sequence, reason, attempts, at } => {
                self.give_up(peer, *sequence, reason.clone(), *attempts, *at)
            }
            Operation::ImportDeadLetter { peer, message, reason, attempts, dead_at } => {
                return self.import(peer, message, reason, *attempts, *dead_at);
            }
            Operation::Discard { peer, sequence } => self.discard(peer, *sequence),
            Operation::RememberPeer(peer) => self.remember(peer),
            Operation::AdoptPeer { alias, peer } => self.adopt(alias, peer),
            Operation::ForgetPeer { peer, at } => self.forget(peer, *at),
            Operation::NameRelay { id } => self.relay.replace(id.clone()).as_ref() != Some(id),
            unknown => unreachable!("the model does not know {unknown:?} yet"),
        };
        if changed { Outcome::Applied } else { Outcome::Unchanged }
    }

    fn record(&mut self, record: &Record) -> Outcome {
        if let Some(known) = self.recognise(record) {
            return known;
        }
        self.see_stamp(record);
        let sequence = self.next_sequence();
        self.identities.insert(record.identity.clone(), record.fingerprint);
        self.recorded.push_back((record.received_at, record.identity.clone()));
        let record = Arc::new(record.clone());
        let message = Message { record: Arc::clone(&record), origin: sequence };
        let mut open = BTreeMap::new();
        for peer in &record.route.recipients {
            if self.peers.contains_key(peer) {
                self.owe(peer, sequence, Owed::new(message.clone()));
                open.insert(peer.clone(), sequence);
            }
        }
        if open.is_empty() {
            self.finished.insert((record.received_at, sequence));
        }
        self.newest_trace.insert(record.identity.clone(), sequence);
        let sent = open.keys().map(|peer| (peer.clone(), Sent::Unacknowledged)).collect();
        self.traces.insert(sequence, Traced { record, open, newest: BTreeMap::new(), sent });
        Outcome::Recorded { sequence }
    }

    /// What is answered to a message that was recorded before; its stamp then counts as seen.
    fn recognise(&mut self, record: &Record) -> Option<Outcome> {
        let known = self.identities.get(&record.identity);
        if known.is_some_and(|&fingerprint| fingerprint != record.fingerprint) {
            return Some(Outcome::Conflict);
        }
        let by = if known.is_some() {
            DuplicateBy::Identity
        } else if record.stamp.is_some_and(|stamp| self.stamps.contains_key(&stamp)) {
            DuplicateBy::Stamp
        } else {
            return None;
        };
        self.see_stamp(record);
        Some(Outcome::Duplicate { by })
    }

    /// Notes the stamp of a record as seen.
    fn see_stamp(&mut self, record: &Record) {
        let Some(stamp) = record.stamp else { return };
        let before = self.stamps.get(&stamp).copied();
        if let Some(time) = before {
            self.stamps_by_age.remove(&(time, stamp));
        }
        let latest = record.received_at.max(before.unwrap_or_default());
        self.stamps.insert(stamp, latest);
        self.stamps_by_age.insert((latest, stamp));
    }

    fn redrive(&mut self, peer: &PeerId, sequence: Sequence) -> Outcome {
        if !self.peers.contains_key(peer) {
            return Outcome::Unchanged;
        }
        let Some(dead) = self.dead.remove(&cursor(peer, sequence)) else { return Outcome::Unchanged };
        let sequence = self.next_sequence();
        if let Some(trace) = self.traces.get_mut(&dead.message.origin) {
            trace.open.insert(peer.clone(), sequence);
            trace.newest.insert(peer.clone(), (sequence, None));
        }
        self.owe(peer, sequence, Owed::new(dead.message));
        Outcome::Redriven { sequence }
    }

    fn attempt(&mut self, peer: &PeerId, sequence: Sequence, number: u32, at: Timestamp) -> bool {
        let owed = self.pending.get_mut(peer).and_then(|backlog| backlog.get_mut(&sequence));
        let Some(owed) = owed.filter(|owed| owed.attempts < number) else { return false };
        owed.attempts = number;
        owed.last_attempt_at = Some(at);
        true
    }

    fn give_up(
        &mut self,
        peer: &PeerId,
        sequence: Sequence,
        reason: DeadLetterReason,
        attempts: u32,
        at: Timestamp,
    ) -> bool {
        let Some(owed) = self.take(peer, sequence) else { return false };
        let message = owed.message;
        self.trace_settled(peer, sequence, message.origin, Settled { state: DeliveryState::Dead, at });
        let dead = Dead { message, reason, attempts, at };
        self.dead.insert(cursor(peer, sequence), dead);
        true
    }

    fn import(
        &mut self,
        peer: &PeerId,
        record: &Record,
        reason: &DeadLetterReason,
        attempts: u32,
        at: Timestamp,
    ) -> Outcome {
        let is_same = |other: &Record| (&other.identity, &other.text) == (&record.identity, &record.text);
        if self.dead.iter().any(|(at, dead)| at.peer == *peer && is_same(&dead.message.record)) {
            return Outcome::Unchanged;
        }
        let sequence = self.next_sequence();
        let record = Arc::new(record.clone());
        let message = Message { record: Arc::clone(&record), origin: sequence };
        self.imported.insert((record.identity.clone(), sequence));
        let open = BTreeMap::from([(peer.clone(), sequence)]);
        let (newest, sent) = (BTreeMap::new(), BTreeMap::new());
        self.traces.insert(sequence, Traced { record, open, newest, sent });
        self.trace_settled(peer, sequence, sequence, Settled { state: DeliveryState::Dead, at });
        self.dead.insert(cursor(peer, sequence), Dead { message, reason: reason.clone(), attempts, at });
        Outcome::Imported { sequence }
    }

    fn acknowledge(&mut self, peer: &PeerId, sequence: Sequence, at: Timestamp) -> Outcome {
        let settled = Settled { state: DeliveryState::Acknowledged, at };
        if self.settle(peer, sequence, settled.state, at) {
            return Outcome::Applied;
        }
        let Some(dead) = self.dead.remove(&cursor(peer, sequence)) else { return Outcome::Unchanged };
        self.trace_settled(peer, sequence, dead.message.origin, settled);
        self.trace_closed(peer, dead.message.origin);
        Outcome::AcknowledgedLate
    }

    fn discard(&mut self, peer: &PeerId, sequence: Sequence) -> bool {
        let Some(dead) = self.dead.remove(&cursor(peer, sequence)) else { return false };
        self.trace_closed(peer, dead.message.origin);
        true
    }

    pub(super) fn remember(&mut self, peer: &Peer) -> bool {
        self.peers.insert(peer.id.clone(), peer.clone()).as_ref() != Some(peer)
    }

    fn forget(&mut self, peer: &PeerId, at: Timestamp) -> bool {
        let backlog: Vec<_> = self.pending.get(peer).into_iter().flat_map(BTreeMap::keys).copied().collect();
        for sequence in backlog {
            self.settle(peer, sequence, DeliveryState::Expired, at);
        }
        self.peers.remove(peer).is_some()
    }

    /// Ends a pending delivery for good; whether it was there.
    pub(super) fn settle(&mut self, peer: &PeerId, sequence: Sequence, state: DeliveryState, at: Timestamp) -> bool {
        let Some(owed) = self.take(peer, sequence) else { return false };
        self.trace_settled(peer, sequence, owed.message.origin, Settled { state, at });
        self.trace_closed(peer, owed.message.origin);
        true
    }

    pub(super) fn owe(&mut self, peer: &PeerId, sequence: Sequence, owed: Owed) {
        if let Some(expiry) = owed.message.record.expires_at {
            self.expiring.insert((expiry, sequence, peer.clone()));
        }
        self.pending.entry(peer.clone()).or_default().insert(sequence, owed);
    }

    pub(super) fn take(&mut self, peer: &PeerId, sequence: Sequence) -> Option<Owed> {
        let backlog = self.pending.get_mut(peer)?;
        let owed = backlog.remove(&sequence)?;
        if backlog.is_empty() {
            self.pending.remove(peer);
        }
        if let Some(expiry) = owed.message.record.expires_at {
            self.expiring.remove(&(expiry, sequence, peer.clone()));
        }
        Some(owed)
    }

    /// Notes how a delivery was settled. Of one that was settled twice, which takes an adoption or a late acknowledgement
    /// of a dead letter, the latest time counts.
    pub(super) fn trace_settled(&mut self, peer: &PeerId, sequence: Sequence, origin: Sequence, settled: Settled) {
        let Some(trace) = self.traces.get_mut(&origin) else { return };
        let sent = trace.sent.entry(peer.clone()).or_default();
        *sent = sent.and_settled(settled.state);
        let newest = trace.newest.entry(peer.clone()).or_insert((sequence, None));
        let rank = |settled: Settled| (settled.at, settled.state != DeliveryState::Dead, settled.state as u8);
        let is_later = newest.1.is_none_or(|before| rank(settled) > rank(before));
        if sequence > newest.0 || (sequence == newest.0 && is_later) {
            *newest = (sequence, Some(settled));
        }
    }

    /// A delivery of the message is neither pending nor a dead letter any more.
    fn trace_closed(&mut self, peer: &PeerId, origin: Sequence) {
        let Some(trace) = self.traces.get_mut(&origin) else { return };
        trace.open.remove(peer);
        if trace.open.is_empty() {
            let times = trace.newest.values().filter_map(|(_, settled)| settled.map(|settled| settled.at));
            self.finished.insert((times.max().unwrap_or_default(), origin));
        }
    }

    fn next_sequence(&mut self) -> Sequence {
        self.last_sequence += 1;
        // `commit` has made sure that there is one.
        Sequence::new(self.last_sequence).unwrap_or(Sequence::LAST)
    }
}

pub(super) fn cursor(peer: &PeerId, sequence: Sequence) -> DeadLetterCursor {
    DeadLetterCursor { sequence, peer: peer.clone() }
}
