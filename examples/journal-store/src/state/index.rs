//! Ways to find messages: by who is owed them, by when they expire, by their identity. All of it follows from the
//! messages, and none of it stands in the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use slipstream_store::{DeadLetterCursor, Identity, PeerId, Sequence, Timestamp};

use super::{Message, Open, OpenState};

/// Each entry leads to the sequence under which the message was recorded, its *origin*. A delivery that was redriven
/// has another sequence.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    /// The pending deliveries of each peer that has any.
    backlogs: BTreeMap<PeerId, BTreeMap<Sequence, Sequence>>,
    dead: BTreeMap<DeadLetterCursor, Sequence>,
    /// How many deliveries are pending under a sequence.
    owed: BTreeMap<Sequence, u64>,
    /// The pending deliveries that can expire, the first to expire first.
    expiring: BTreeSet<(Timestamp, Sequence, PeerId)>,
    by_identity: BTreeSet<(Identity, Sequence)>,
    /// The messages without an open delivery, by the time at which the last was settled.
    finished: BTreeSet<(Timestamp, Sequence)>,
    trace_bytes: u64,
}

pub(super) fn cursor(peer: &PeerId, sequence: Sequence) -> DeadLetterCursor {
    DeadLetterCursor { sequence, peer: peer.clone() }
}

impl Index {
    /// Takes in a message with all its deliveries; whether none of them is open.
    pub(super) fn add_message(&mut self, origin: Sequence, message: &Message) -> bool {
        self.by_identity.insert((message.record.identity.clone(), origin));
        for (peer, delivery) in &message.deliveries {
            if let Some(open) = &delivery.open {
                self.add(origin, peer, open, message.record.expires_at);
            }
        }
        self.finish(origin, message)
    }

    /// Files the message with the finished ones, where it is one; whether it is.
    pub(super) fn finish(&mut self, origin: Sequence, message: &Message) -> bool {
        let Some(at) = message.finished_at() else { return false };
        self.finished.insert((at, origin));
        self.trace_bytes += message.trace_bytes();
        true
    }

    /// Lets a finished message go.
    pub(super) fn remove_message(&mut self, finished_at: Timestamp, origin: Sequence, message: &Message) {
        self.finished.remove(&(finished_at, origin));
        self.by_identity.remove(&(message.record.identity.clone(), origin));
        self.trace_bytes -= message.trace_bytes();
    }

    pub(super) fn add(&mut self, origin: Sequence, peer: &PeerId, open: &Open, expires_at: Option<Timestamp>) {
        let sequence = open.sequence;
        if matches!(open.state, OpenState::Dead { .. }) {
            self.dead.insert(cursor(peer, sequence), origin);
            return;
        }
        self.backlogs.entry(peer.clone()).or_default().insert(sequence, origin);
        *self.owed.entry(sequence).or_default() += 1;
        if let Some(expiry) = expires_at {
            self.expiring.insert((expiry, sequence, peer.clone()));
        }
    }

    pub(super) fn remove(&mut self, peer: &PeerId, open: &Open, expires_at: Option<Timestamp>) {
        let sequence = open.sequence;
        if matches!(open.state, OpenState::Dead { .. }) {
            self.dead.remove(&cursor(peer, sequence));
            return;
        }
        let backlog = self.backlogs.entry(peer.clone()).or_default();
        backlog.remove(&sequence);
        if backlog.is_empty() {
            self.backlogs.remove(peer);
        }
        let owed = self.owed.entry(sequence).or_default();
        *owed = owed.saturating_sub(1);
        if *owed == 0 {
            self.owed.remove(&sequence);
        }
        if let Some(expiry) = expires_at {
            self.expiring.remove(&(expiry, sequence, peer.clone()));
        }
    }

    /// The origin of a pending delivery, where it is pending.
    pub(super) fn pending(&self, peer: &PeerId, sequence: Sequence) -> Option<Sequence> {
        self.backlogs.get(peer)?.get(&sequence).copied()
    }

    /// The origin of a dead letter, where it is one.
    pub(super) fn dead_letter(&self, at: &DeadLetterCursor) -> Option<Sequence> {
        self.dead.get(at).copied()
    }

    /// What a peer is owed after a sequence: sequences and origins.
    pub(super) fn pending_after(
        &self,
        peer: &PeerId,
        after: Option<Sequence>,
    ) -> impl Iterator<Item = (Sequence, Sequence)> {
        let backlog = self.backlogs.get(peer).into_iter();
        backlog
            .flat_map(move |backlog| backlog.range((beyond(after), Bound::Unbounded)))
            .map(|(&at, &origin)| (at, origin))
    }

    pub(super) fn dead_after(
        &self,
        after: Option<DeadLetterCursor>,
    ) -> impl Iterator<Item = (&DeadLetterCursor, Sequence)> {
        self.dead.range((beyond(after), Bound::Unbounded)).map(|(at, &origin)| (at, origin))
    }

    /// The messages of which a peer has an open delivery.
    pub(super) fn open_messages(&self, peer: &PeerId) -> Vec<Sequence> {
        let dead = self.dead.iter().filter(|(at, _)| at.peer == *peer).map(|(_, &origin)| origin);
        self.pending_after(peer, None).map(|(_, origin)| origin).chain(dead).collect()
    }

    /// The messages that were recorded or imported under an identity, the oldest first.
    pub(super) fn origins(&self, identity: &Identity) -> impl DoubleEndedIterator<Item = Sequence> {
        let all = (identity.clone(), Sequence::FIRST)..=(identity.clone(), Sequence::LAST);
        self.by_identity.range(all).map(|(_, origin)| *origin)
    }

    /// The pending delivery that expires first.
    pub(super) fn first_to_expire(&self) -> Option<&(Timestamp, Sequence, PeerId)> {
        self.expiring.first()
    }

    /// The finished message whose last delivery was settled the longest ago.
    pub(super) fn first_finished(&self) -> Option<(Timestamp, Sequence)> {
        self.finished.first().copied()
    }

    pub(super) fn trace_bytes(&self) -> u64 {
        self.trace_bytes
    }

    /// How many deliveries of a peer are pending.
    pub(super) fn backlog(&self, peer: &PeerId) -> u64 {
        self.backlogs.get(peer).map_or(0, |backlog| backlog.len() as u64)
    }

    pub(super) fn all_pending(&self) -> u64 {
        self.backlogs.values().map(|backlog| backlog.len() as u64).sum()
    }

    pub(super) fn all_owed(&self) -> u64 {
        self.owed.len() as u64
    }

    pub(super) fn all_dead(&self) -> u64 {
        self.dead.len() as u64
    }
}

fn beyond<T>(after: Option<T>) -> Bound<T> {
    after.map_or(Bound::Unbounded, Bound::Excluded)
}
