//! All that the store knows, in ordered maps, and what every operation does to it.
//!
//! Nothing here reads a file, a clock or a random number, and no operation can fail: what the journal holds can
//! always be applied.

mod adopt;
mod index;
mod message;
mod purge;
mod stamps;
mod views;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use slipstream_store::{
    Batch, DeliveryState, DuplicateBy, Fingerprint, Identity, Operation, Outcome, Peer, PeerId, Record, Sent, Sequence,
    Timestamp,
};

use index::{Index, cursor};
pub(crate) use message::{Delivery, Message, Newest, Open, OpenState, Settled};
pub(crate) use stamps::{Seen, StampBlock, Stamps};

/// All that the store knows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) relay: Option<PeerId>,
    /// The number of the last sequence that was given, whatever became of its message (clause C5).
    pub(crate) last_sequence: u64,
    pub(crate) peers: BTreeMap<PeerId, Peer>,
    /// By the sequence under which each was recorded.
    pub(crate) messages: BTreeMap<Sequence, Message>,
    /// Those of them that came with an import.
    pub(crate) imported: BTreeSet<Sequence>,
    /// Of the messages that were received before, some have left for their size.
    pub(crate) whole_since: Timestamp,
    pub(crate) identities: BTreeMap<Identity, Fingerprint>,
    /// The remembered identities in the order of their recording, with the time at which each was received.
    pub(crate) recorded: VecDeque<(Timestamp, Identity)>,
    pub(crate) stamps: Stamps,
    /// Ways to find messages. All of it follows from them.
    index: Index,
}

impl State {
    /// Whether every operation of the batch could be given a sequence.
    pub(crate) fn has_sequences_for(&self, batch: &Batch) -> bool {
        Sequence::LAST.get() - self.last_sequence >= batch.operations.len() as u64
    }

    pub(crate) fn commit(&mut self, batch: &Batch) -> Vec<Outcome> {
        batch.operations.iter().map(|operation| self.apply(operation)).collect()
    }

    fn apply(&mut self, operation: &Operation) -> Outcome {
        use DeliveryState::{Expired, Superseded};
        let changed = match operation {
            Operation::Record(record) => return self.record(record),
            Operation::Recognise(record) => return self.recognise(record).unwrap_or(Outcome::Unchanged),
            Operation::Redrive { peer, sequence } => return self.redrive(peer, *sequence),
            Operation::Acknowledge { peer, sequence, at } => return self.acknowledge(peer, *sequence, *at),
            Operation::Supersede { peer, sequence, at } => self.settle(peer, *sequence, Superseded, *at),
            Operation::Expire { peer, sequence, at } => self.settle(peer, *sequence, Expired, *at),
            Operation::Attempt { peer, sequence, number, at } => self.attempt(peer, *sequence, *number, *at),
            Operation::DeadLetter { peer, sequence, reason, attempts, at } => self.give_up(
                peer,
                *sequence,
                OpenState::Dead { reason: reason.clone(), attempts: *attempts, at: *at },
                *at,
            ),
            Operation::ImportDeadLetter { peer, message, reason, attempts, dead_at } => {
                let dead = OpenState::Dead { reason: reason.clone(), attempts: *attempts, at: *dead_at };
                return self.import(peer, message, dead, *dead_at);
            }
            Operation::Discard { peer, sequence } => self.discard(peer, *sequence),
            Operation::RememberPeer(peer) => self.remember(peer),
            Operation::AdoptPeer { alias, peer } => self.adopt(alias, peer),
            Operation::ForgetPeer { peer, at } => self.forget(peer, *at),
            Operation::NameRelay { id } => self.relay.replace(id.clone()).as_ref() != Some(id),
            // The journal refuses what it does not know before it comes here.
            _ => false,
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
        let recipients = record.route.recipients.iter().filter(|peer| self.peers.contains_key(*peer));
        let open = || Some(Open { sequence, state: OpenState::NEW });
        let new = || Delivery { open: open(), newest: None, sent: Sent::Unacknowledged };
        let deliveries = recipients.map(|peer| (peer.clone(), new())).collect();
        self.insert(sequence, Message { record: Box::new(record.clone()), deliveries });
        Outcome::Recorded { sequence }
    }

    /// What is answered to a message that was recorded before; its stamp then counts as seen.
    fn recognise(&mut self, record: &Record) -> Option<Outcome> {
        let known = self.identities.get(&record.identity).copied();
        if known.is_some_and(|fingerprint| fingerprint != record.fingerprint) {
            return Some(Outcome::Conflict);
        }
        let by = if known.is_some() {
            DuplicateBy::Identity
        } else if record.stamp.is_some_and(|stamp| self.stamps.has_seen(stamp)) {
            DuplicateBy::Stamp
        } else {
            return None;
        };
        self.see_stamp(record);
        Some(Outcome::Duplicate { by })
    }

    fn see_stamp(&mut self, record: &Record) {
        if let Some(stamp) = record.stamp {
            self.stamps.see(stamp, record.received_at);
        }
    }

    /// Takes in a message with its deliveries as they are.
    pub(crate) fn insert(&mut self, origin: Sequence, mut message: Message) {
        if self.index.add_message(origin, &message) {
            message.drop_text();
        }
        self.messages.insert(origin, message);
    }

    /// Changes whether and how a peer's delivery of a message is open; answers how it was. Every change of a delivery
    /// comes through here, so that the index cannot miss one.
    fn reopen(&mut self, origin: Sequence, peer: &PeerId, open: Option<Open>) -> Option<Open> {
        let message = self.messages.get_mut(&origin)?;
        let expires_at = message.record.expires_at;
        let delivery = message.deliveries.entry(peer.clone()).or_default();
        let before = std::mem::replace(&mut delivery.open, open);
        if let Some(before) = &before {
            self.index.remove(peer, before, expires_at);
        }
        if let Some(open) = &delivery.open {
            self.index.add(origin, peer, open, expires_at);
        }
        before
    }

    /// Notes how a delivery was settled.
    fn note(&mut self, origin: Sequence, peer: &PeerId, sequence: Sequence, settled: Settled) {
        if let Some(message) = self.messages.get_mut(&origin) {
            message.deliveries.entry(peer.clone()).or_default().settle(sequence, settled);
        }
    }

    /// Ends a delivery for good. Where it was the last open one, the message's text goes.
    fn close(&mut self, origin: Sequence, peer: &PeerId) {
        self.reopen(origin, peer, None);
        let Some(message) = self.messages.get_mut(&origin) else { return };
        if self.index.finish(origin, message) {
            message.drop_text();
        }
    }

    /// Settles a pending delivery; whether it was there.
    fn settle(&mut self, peer: &PeerId, sequence: Sequence, how: DeliveryState, at: Timestamp) -> bool {
        let Some(origin) = self.index.pending(peer, sequence) else { return false };
        self.note(origin, peer, sequence, Settled { how, at });
        self.close(origin, peer);
        true
    }

    /// Settles a delivery that the peer has handled, also if it is a dead letter by now.
    fn acknowledge(&mut self, peer: &PeerId, sequence: Sequence, at: Timestamp) -> Outcome {
        if self.settle(peer, sequence, DeliveryState::Acknowledged, at) {
            return Outcome::Applied;
        }
        let Some(origin) = self.index.dead_letter(&cursor(peer, sequence)) else { return Outcome::Unchanged };
        self.note(origin, peer, sequence, Settled { how: DeliveryState::Acknowledged, at });
        self.close(origin, peer);
        Outcome::AcknowledgedLate
    }

    fn give_up(&mut self, peer: &PeerId, sequence: Sequence, dead: OpenState, at: Timestamp) -> bool {
        let Some(origin) = self.index.pending(peer, sequence) else { return false };
        self.note(origin, peer, sequence, Settled { how: DeliveryState::Dead, at });
        self.reopen(origin, peer, Some(Open { sequence, state: dead }));
        true
    }

    fn attempt(&mut self, peer: &PeerId, sequence: Sequence, number: u32, at: Timestamp) -> bool {
        let Some(origin) = self.index.pending(peer, sequence) else { return false };
        let message = self.messages.get_mut(&origin);
        let open = message.and_then(|message| message.deliveries.get_mut(peer)?.open.as_mut());
        match open.map(|open| &mut open.state) {
            Some(OpenState::Pending { attempts, last_attempt_at }) if *attempts < number => {
                (*attempts, *last_attempt_at) = (number, Some(at));
                true
            }
            _ => false,
        }
    }

    fn redrive(&mut self, peer: &PeerId, sequence: Sequence) -> Outcome {
        let dead = self.index.dead_letter(&cursor(peer, sequence));
        let Some(origin) = dead.filter(|_| self.peers.contains_key(peer)) else { return Outcome::Unchanged };
        let sequence = self.next_sequence();
        self.reopen(origin, peer, Some(Open { sequence, state: OpenState::NEW }));
        if let Some(delivery) = self.messages.get_mut(&origin).and_then(|message| message.deliveries.get_mut(peer)) {
            delivery.newest = Some(Newest { sequence, settled: None });
        }
        Outcome::Redriven { sequence }
    }

    fn discard(&mut self, peer: &PeerId, sequence: Sequence) -> bool {
        let Some(origin) = self.index.dead_letter(&cursor(peer, sequence)) else { return false };
        self.close(origin, peer);
        true
    }

    /// Takes in a dead letter, unless there is one of this peer, identity and text.
    fn import(&mut self, peer: &PeerId, record: &Record, dead: OpenState, at: Timestamp) -> Outcome {
        let is_there = |origin| {
            let message: &Message = self.messages.get(&origin)?;
            let open = message.deliveries.get(peer)?.open.as_ref()?;
            let is_dead = matches!(open.state, OpenState::Dead { .. });
            (is_dead && message.record.text == record.text).then_some(())
        };
        if self.index.origins(&record.identity).find_map(is_there).is_some() {
            return Outcome::Unchanged;
        }
        let sequence = self.next_sequence();
        let settled = Some(Settled { how: DeliveryState::Dead, at });
        let open = Some(Open { sequence, state: dead });
        let delivery = Delivery { open, newest: Some(Newest { sequence, settled }), sent: Sent::Unacknowledged };
        self.imported.insert(sequence);
        let deliveries = BTreeMap::from([(peer.clone(), delivery)]);
        self.insert(sequence, Message { record: Box::new(record.clone()), deliveries });
        Outcome::Imported { sequence }
    }

    fn remember(&mut self, peer: &Peer) -> bool {
        self.peers.insert(peer.id.clone(), peer.clone()).as_ref() != Some(peer)
    }

    fn forget(&mut self, peer: &PeerId, at: Timestamp) -> bool {
        let backlog: Vec<_> = self.index.pending_after(peer, None).collect();
        for (sequence, _) in backlog {
            self.settle(peer, sequence, DeliveryState::Expired, at);
        }
        self.peers.remove(peer).is_some()
    }

    fn next_sequence(&mut self) -> Sequence {
        self.last_sequence += 1;
        // Before a batch comes here it was made sure that there is one.
        Sequence::new(self.last_sequence).unwrap_or(Sequence::LAST)
    }
}
